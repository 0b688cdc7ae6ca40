# A small image with Shunt and the shared libraries it needs, nothing else.
#
#   docker build -t shunt .                          (--build-arg DEBIAN=13 for the next Debian)
#   docker run --rm shunt --version
#   docker run -p 8080:8080 -v ./shunt.toml:/etc/shunt/shunt.toml:ro --security-opt seccomp=shunt-seccomp.json shunt
#
# Shunt's event loop is io_uring, and the default seccomp profile of Docker (from 25.0) and containerd forbids its three
# system calls: without more, `shunt run` ends with exit code 3 and says so. Give the container a profile that allows
# them (the default profile with "io_uring_setup", "io_uring_enter" and "io_uring_register" added to an SCMP_ACT_ALLOW
# entry), or, to try it out, --security-opt seccomp=unconfined. The host's sysctl kernel.io_uring_disabled must be 0.
ARG DEBIAN=12

FROM debian:${DEBIAN}-slim AS build
WORKDIR /src
COPY . .
RUN ./dev build && strip --strip-debug build/release/shunt
# The packages that own the libraries the binary is linked to: found, not listed, so that they are right on any Debian.
RUN ldd build/release/shunt | awk '$2 == "=>" { print $3 }' | while read -r library; do \
      dpkg -S "*/$(basename "$(readlink -f "$library")")"; \
    done | cut -d: -f1 | sort -u > build/release/packages

FROM debian:${DEBIAN}-slim
COPY --from=build /src/build/release/packages /tmp/packages
RUN apt-get update \
 && xargs apt-get install -y --no-install-recommends < /tmp/packages \
 && rm -rf /var/lib/apt/lists/* /tmp/packages \
 && useradd --system --no-create-home --shell /usr/sbin/nologin shunt
COPY --from=build /src/build/release/shunt /usr/local/bin/shunt
USER shunt
WORKDIR /etc/shunt
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["shunt"]
CMD ["run", "-c", "/etc/shunt/shunt.toml"]
