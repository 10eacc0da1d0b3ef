"""The command line `modal-pretrain`."""
