# A farm for layer 4: a client, a director and real servers in network namespaces of their own, all on one switch, or
# with a router between. Everything has an IPv4 and an IPv6 address; the virtual addresses belong to nobody but Shunt.
import contextlib
import errno
import json
import pathlib
import re
import socket
import subprocess
import threading

from harness import SLOWNESS, TIMEOUT, Stream, Wrk, binary, read_response, wait_until
from namespaces import Namespace

CLIENT, DIRECTOR, ROUTER, FIRST_SERVER = 1, 254, 252, 11
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
    location = /status {{ stub_status; }}
    location /files/ {{ root {folder}; dav_methods PUT; }}
  }}
}}
"""


def v4(host, net=1):
    return f"10.{net}.0.{host}"


def v6(host, net=1):
    return f"2001:db8:{net}::{host}"


def url_host(address):
    return f"[{address}]" if ":" in address else address


class Host(Namespace):
    """A machine on a switch, with the addresses v4(number, net) and v6(number, net) on eth0."""

    def __init__(self, switch, number, mtu=1500, net=1):
        super().__init__()
        self.number, self.v4, self.v6 = number, v4(number, net), v6(number, net)
        self.sysctl(ipv6__conf__default__accept_dad=0, ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0,
                    ipv4__conf__all__arp_ignore=1, ipv4__conf__all__arp_announce=2,
                    ipv4__conf__all__send_redirects=0, ipv4__conf__default__send_redirects=0)
        self.join(switch, "eth0", net, mtu)

    def join(self, switch, device, net, mtu=1500):
        """One more interface, on another switch and network."""
        port = f"p{net}-{self.number}"
        self.run("ip", "link", "add", device, "mtu", mtu, "type", "veth", "peer", "name", port, "mtu", mtu,
                 "netns", switch.pid)
        self.run("ip", "address", "add", f"{v4(self.number, net)}/24", "dev", device)
        self.run("ip", "address", "add", f"{v6(self.number, net)}/64", "dev", device, "nodad")
        self.run("ip", "link", "set", device, "up")
        switch.run("ip", "link", "set", port, "master", f"br{net}", "up")

    def route(self, v4_to, v6_to, number, net):
        """What is for these (networks of IPv4 and IPv6) goes to the host `number` of that network."""
        self.run("ip", "route", "replace", v4_to, "via", v4(number, net))
        self.run("ip", "-6", "route", "replace", v6_to, "via", v6(number, net))

    def mac(self, device="eth0"):
        return json.loads(self.run("ip", "-json", "link", "show", device))[0]["address"]


class Server(Host):
    """A real server: nginx on ports 80 and 8080 that says its name, and UDP services that the test asks for."""

    def __init__(self, switch, number, folder, mtu=1500, net=1):
        super().__init__(switch, number, mtu, net)
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

    def served(self):
        """How many connections nginx has accepted, and how many requests it has answered on them."""
        status = self.run("curl", "--silent", "--fail", "--noproxy", "*", "http://127.0.0.1:8080/status")
        accepts, _, requests = re.search(r"(\d+) (\d+) (\d+) \n", status).groups()
        return int(accepts), int(requests)

    def route_by(self, director, client):
        """Answers to the client go through the director, as NAT needs it."""
        self.route(client.v4, client.v6, director.number, 1)

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
    """The whole: `client`, `director`, `servers`; closed with the test, whatever becomes of it. `local`: the director
    has what a server has."""

    def __init__(self, folder, servers=4, server_mtu=1500, client_mtu=1500, local=False):
        self._ends = contextlib.ExitStack()
        try:
            self._build(folder, servers, server_mtu, client_mtu, local)
            for server in [*self.servers, *([self.director] if local else [])]:
                wait_until(server.listening, f"nginx of {server.name}")
        except BaseException:
            self._ends.close()
            raise

    def _build(self, folder, servers, server_mtu, client_mtu, local):
        self.switch = self._open_switch(1)
        self.client = self._open(Host, self.switch, CLIENT, client_mtu)
        director_mtu = max(server_mtu, client_mtu)
        self.director = (self._open(Server, self.switch, DIRECTOR, folder, director_mtu) if local
                         else self._open(Host, self.switch, DIRECTOR, director_mtu))
        self.servers = [self._open(Server, self.switch, FIRST_SERVER + i, folder, server_mtu) for i in range(servers)]

    def _open_switch(self, net):
        switch = self._open(Namespace)
        bridge = f"br{net}"
        switch.run("ip", "link", "add", bridge, "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        switch.run("ip", "link", "set", bridge, "up")
        return switch

    def _open(self, kind, *arguments):
        made = kind(*arguments)
        self._ends.callback(made.close)
        return made

    def host(self, number):
        """One more machine beside the client."""
        return self._open(Host, self.switch, number)

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

    def load(self, address, port=80, **options):
        """wrk on the client, in the background; options as Wrk takes them."""
        load = Wrk(port, host=url_host(address), enter=self.client.enter, **options)
        self._ends.callback(load.kill)
        return load

    def wait_for_requests(self, count=200):
        """Until every server has answered that many requests more."""
        before = [server.served()[1] for server in self.servers]
        wait_until(lambda: all(server.served()[1] > requests + count
                               for server, requests in zip(self.servers, before, strict=True)),
                   "load on every server")

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


class RoutedFarm(Farm):
    """The client on one network; two servers, `near`, on another, and two, `far`, behind a router of that one. The
    director is on both and has an interface to each; so has the router, over which answers may pass beside it."""

    def _build(self, folder, servers, server_mtu, client_mtu, _local):
        switches = [self._open_switch(net) for net in (1, 2, 3)]
        self.switch = switches[0]
        self.client = self._open(Host, switches[0], CLIENT, client_mtu)
        self.director = self._open(Host, switches[0], DIRECTOR, client_mtu)
        self.director.join(switches[1], "eth1", 2, server_mtu)
        self.router = self._open(Host, switches[0], ROUTER, client_mtu)
        self.router.join(switches[1], "eth1", 2, server_mtu)
        self.router.join(switches[2], "eth2", 3, server_mtu)
        self.router.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        self.director.route(v4(0, 3) + "/24", v6("", 3) + "/64", ROUTER, 2)
        self.near, self.far = ([self._open(Server, switches[net - 1], FIRST_SERVER + net * 10 + i, folder, server_mtu,
                                           net) for i in range(servers // 2)] for net in (2, 3))
        self.servers = [*self.near, *self.far]
        for server in self.far:
            server.route("default", "default", ROUTER, 3)

    def answer_by_director(self):
        """What servers say to the client goes through the director, as NAT needs it."""
        for host in (self.router, *self.near):
            host.route(self.client.v4, self.client.v6, DIRECTOR, 2)

    def answer_directly(self):
        """Beside it, by the router."""
        for server in self.near:
            server.route(self.client.v4, self.client.v6, ROUTER, 2)


def say(stream, target="/"):
    """One request on a connection that stays open; returns the body."""
    stream.send(f"GET {target} HTTP/1.1\r\nHost: farm\r\n\r\n".encode())
    return read_response(stream, "GET").body.decode().strip()


def hears_nothing(stream, seconds=0.5):
    """Whether nothing comes on a connection, not even its end."""
    stream.socket.settimeout(seconds * SLOWNESS)
    try:
        stream.socket.recv(1)
    except TimeoutError:
        return True
    return False


def service(name, address, servers, method="nat", protocol="tcp", scheduler="rr", more=""):
    """A [[service]]; `servers`: pairs of a name and the TOML of its keys."""
    lines = ["[[service]]", f'name = "{name}"', f'protocol = "{protocol}"', f'address = "{address}"',
             'interface = "eth0"', f'forward = "{method}"', f'scheduler = "{scheduler}"', more]
    for server, keys in servers:
        lines += ["[[service.server]]", f'name = "{server}"', keys]
    return "\n".join(lines) + "\n"
