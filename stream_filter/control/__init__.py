"""The control plane: the Faust worker that supervises the data plane and serves the web port."""
