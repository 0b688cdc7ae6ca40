# A farm for layer 4: a client, a director and real servers in network namespaces of their own, all on one switch.
# Everything has an IPv4 and an IPv6 address; the virtual addresses belong to nobody but Shunt.
import contextlib
import errno
import pathlib
import socket
import subprocess
import threading

from harness import SLOWNESS, TIMEOUT, Stream, binary, read_response, wait_until
from namespaces import Namespace

CLIENT, DIRECTOR, FIRST_SERVER = 1, 254, 11
NGINX_CONFIG = """
daemon off; master_process off; pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 0;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 80; listen [::]:80 ipv6only=on; listen 8080; listen [::]:8080 ipv6only=on;
    location = / {{ return 200 "{name}\\n"; }}
    location /files/ {{ root {folder}; dav_methods PUT; }}
  }}
}}
"""


def v4(host):
    return f"10.1.0.{host}"


def v6(host):
    return f"2001:db8:1::{host}"


def url_host(address):
    return f"[{address}]" if ":" in address else address


class Host(Namespace):
    """A machine on the switch, with the addresses v4(number) and v6(number)."""

    def __init__(self, switch, number, mtu=1500):
        super().__init__()
        self.number, self.v4, self.v6 = number, v4(number), v6(number)
        self.sysctl(ipv6__conf__default__accept_dad=0, ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0,
                    ipv4__conf__all__arp_ignore=1, ipv4__conf__all__arp_announce=2,
                    ipv4__conf__all__send_redirects=0, ipv4__conf__default__send_redirects=0)
        self.run("ip", "link", "add", "eth0", "mtu", mtu, "type", "veth", "peer", "name", f"p{number}",
                 "mtu", mtu, "netns", switch.pid)
        self.run("ip", "address", "add", f"{self.v4}/24", "dev", "eth0")
        self.run("ip", "address", "add", f"{self.v6}/64", "dev", "eth0", "nodad")
        self.run("ip", "link", "set", "eth0", "up")
        switch.run("ip", "link", "set", f"p{number}", "master", "br0", "up")


class Server(Host):
    """A real server: nginx on ports 80 and 8080 that says its name, and UDP services that the test asks for."""

    def __init__(self, switch, number, folder, mtu=1500):
        super().__init__(switch, number, mtu)
        self.name = f"s{number}"
        self.folder = pathlib.Path(folder, self.name)
        (self.folder / "files").mkdir(parents=True)
        for folder in (self.folder, self.folder / "files"):
            folder.chmod(0o777)  # nginx may write there.
        config = self.folder / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(folder=self.folder, name=self.name))
        self._log = open(self.folder / "error.log", "wb")
        self.nginx = self.start("/usr/sbin/nginx", "-p", self.folder, "-c", config, "-e", "stderr",
                                stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        self._ends = contextlib.ExitStack()

    def listening(self):
        return "0.0.0.0:8080 " in self.run("ss", "-ltn")

    def route_by(self, director, client):
        """Answers to the client go through the director, as NAT needs it."""
        self.run("ip", "route", "add", client.v4, "via", director.v4)
        self.run("ip", "-6", "route", "add", client.v6, "via", director.v6)

    def route_directly(self, client):
        self.run("ip", "route", "del", client.v4)
        self.run("ip", "-6", "route", "del", client.v6)

    def take_address(self, address, device="lo"):
        """The virtual address, of which nobody is told."""
        prefix, more = ("128", ["nodad"]) if ":" in address else ("32", [])
        self.run("ip", "address", "add", f"{address}/{prefix}", "dev", device, *more)

    def decapsulate(self, *addresses):
        log = open(self.folder / "agent.log", "wb")
        words = [word for address in addresses for word in ("--address", address)]
        agent = self.start(binary(), "agent", "--decap", "eth0", *words, stdout=log, stderr=log)

        def stop():
            agent.terminate()
            agent.wait(TIMEOUT)
            log.close()

        self._ends.callback(stop)
        wait_until(lambda: "ending tunnels" in (self.folder / "agent.log").read_text() or agent.poll() is not None,
                   "the agent")

    def answer_udp(self, address, port):
        """Answers each datagram to this address with our name and what it said."""
        service = self.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self._ends.callback(service.close)

        def bound():
            try:
                service.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:  # An IPv6 address is not there at once.
                    raise
                return False
            return True

        wait_until(bound, f"{address} on {self.name}")

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    data, sender = service.recvfrom(65536)
                    service.sendto(self.name.encode() + b" " + data, sender)

        threading.Thread(target=serve, daemon=True).start()

    def close(self):
        self._ends.close()
        self.nginx.terminate()
        self.nginx.wait(TIMEOUT)
        self._log.close()
        super().close()


class Farm:
    """The whole: `client`, `director`, `servers`; closed with the test, whatever becomes of it."""

    def __init__(self, folder, servers=2, server_mtu=1500, client_mtu=1500):
        self._ends = contextlib.ExitStack()
        try:
            self.switch = self._open(Namespace)
            self.switch.run("ip", "link", "add", "br0", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
            self.switch.run("ip", "link", "set", "br0", "up")
            self.client = self._open(Host, self.switch, CLIENT, client_mtu)
            self.director = self._open(Host, self.switch, DIRECTOR, max(server_mtu, client_mtu))
            self.servers = [self._open(Server, self.switch, FIRST_SERVER + i, folder, server_mtu)
                            for i in range(servers)]
            for server in self.servers:
                wait_until(server.listening, f"nginx of {server.name}")
        except BaseException:
            self._ends.close()
            raise

    def _open(self, kind, *arguments):
        made = kind(*arguments)
        self._ends.callback(made.close)
        return made

    def close(self):
        self._ends.close()

    def get(self, address, port=80, target="/", *options):
        """What curl on the client gets; raises if it does not."""
        return subprocess.run(
            [*self.client.enter, "curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time",
             str(20 * SLOWNESS), *options, f"http://{url_host(address)}:{port}{target}"],
            stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout

    def ask(self, address, port, data, asker=None):
        """Sends a datagram from the client until it is answered; returns the answer."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with contextlib.ExitStack() as stack:
            asker = asker or stack.enter_context(self.client.socket(family, socket.SOCK_DGRAM))
            asker.settimeout(0.5 * SLOWNESS)

            def answer():
                asker.sendto(data, (address, port))
                try:
                    return asker.recvfrom(65536)[0]
                except TimeoutError:
                    return None

            return wait_until(answer, f"an answer from {address}:{port}")

    def connect(self, address, port=80):
        """A connection from the client over which a test says what it likes; close it."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connected = self.client.socket(family, socket.SOCK_STREAM)
        connected.settimeout(TIMEOUT)
        try:
            connected.connect((address, port))
        except OSError:
            connected.close()
            raise
        return Stream(connected)


def say(stream, target="/"):
    """One request on a connection that stays open; returns the body."""
    stream.send(f"GET {target} HTTP/1.1\r\nHost: farm\r\n\r\n".encode())
    return read_response(stream, "GET").body.decode().strip()


def service(name, address, servers, method="nat", protocol="tcp", scheduler="rr", more=""):
    """A [[service]]; `servers`: pairs of a name and the TOML of its keys."""
    lines = ["[[service]]", f'name = "{name}"', f'protocol = "{protocol}"', f'address = "{address}"',
             'interface = "eth0"', f'forward = "{method}"', f'scheduler = "{scheduler}"', more]
    for server, keys in servers:
        lines += ["[[service.server]]", f'name = "{server}"', keys]
    return "\n".join(lines) + "\n"
