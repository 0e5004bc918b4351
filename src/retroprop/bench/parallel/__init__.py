"""Training that the ranks of an MPI job share: its times, its efficiency, and a model of more ranks."""
