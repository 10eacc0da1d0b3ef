"""Any accepted X as 8-bit RGB pictures, decoded, resized and batched."""
