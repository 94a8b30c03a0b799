//! A real Kubernetes on one machine, as a library.
