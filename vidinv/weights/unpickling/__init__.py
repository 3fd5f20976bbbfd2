"""Read pickles and torch files into our own stand-ins: nothing that a file names is imported, called or built."""
