"""The online use case on ports: a batch of records in, decisions and emissions out."""
