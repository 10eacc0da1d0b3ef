"""What arrays that come in must be: labels, numbers, weights of rows."""
