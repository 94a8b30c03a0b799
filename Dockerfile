# The operator's image: one static program and nothing else.
#
# FROM scratch, because then there is nothing to patch, no shell to break into, and no base image to fetch: the build
# works without any registry. The program is linked with a static glibc (`-C target-feature=+crt-static`), which can
# not load name-service plugins; it does not have to, since it connects by address only: the API server's comes from
# the environment of every pod, a Redis's from its pod's status. No CA certificates either: the cluster's own CA is
# mounted into the pod with the ServiceAccount's token.
#
# The build context is a directory with just the program in it. `make image` builds the program, makes that directory
# and calls docker or buildah; a build of the program inside the image would need a Rust image to start from.
FROM scratch

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="redis-operator" \
      org.opencontainers.image.description="Operator for replicated Redis and Valkey" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --chmod=0555 redis-operator /redis-operator

# Numeric, so that the kubelet can tell that it is not root (runAsNonRoot). No files belong to it and none are written.
USER 65532:65532
ENTRYPOINT ["/redis-operator"]
CMD ["run"]
