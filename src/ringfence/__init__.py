"""ringfence: takes a Kubernetes cluster from default-allow to proven zero trust."""
