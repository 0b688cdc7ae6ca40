# Unix sockets, with and without a file, on both sides: who may connect, what a dead Shunt leaves behind, reloads.
import os
import socket
import stat

from harness import TIMEOUT, Shunt, ShuntTest, Stream, farm, free_port, get, main, read_response, wait_until


def ask(path):
    """The answer to a request over the unix socket `path`, "@name" for an abstract one."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(TIMEOUT)
    with Stream(client) as stream:
        client.connect("\0" + path[1:] if path.startswith("@") else str(path))
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return read_response(stream)


class UnixSockets(ShuntTest):
    def setUp(self):
        self.path = str(self.folder / "front.sock")
        self.port = free_port()

    def config(self, bind, servers, listener=""):
        """A farm that can be waited for on a port, with a second listener on `bind`."""
        return farm(self.port, servers).replace(
            "[[rule]]", f'[[listener]]\nname = "local"\nbind = {bind}\n{listener}\n[[rule]]', 1)

    def test_mode_of_the_file(self):
        for mode in ("0600", "0666", None):
            with self.subTest(mode=mode):
                self.port = free_port()
                key = f'unix_mode = "{mode}"' if mode else ""
                shunt = self.shunt(self.config(f'"unix:{self.path}"', [self.origin()], key))
                found = stat.S_IMODE(os.stat(self.path).st_mode)
                umask = os.umask(0)
                os.umask(umask)
                self.assertEqual(found, int(mode, 8) if mode else 0o777 & ~umask)
                self.assertEqual(ask(self.path).status, 200)
                shunt.stop()
                self.assertFalse(os.path.exists(self.path))

    def test_file_of_a_dead_shunt_is_replaced_and_that_of_a_living_one_is_not(self):
        config = self.config(f'"unix:{self.path}"', [self.origin()])
        self.shunt(config).kill()
        self.assertTrue(os.path.exists(self.path))
        self.port = free_port()
        # At once, while the kernel still takes the dead one's ring down.
        shunt = self.shunt(self.config(f'"unix:{self.path}"', [self.origin()]))
        shunt.wait_for_log("info generation 1")
        self.assertEqual(ask(self.path).status, 200)
        self.port = free_port()
        second = Shunt(self.folder, self.config(f'"unix:{self.path}"', ["127.0.0.1:1"]), wait=False)
        self.assertEqual(second.wait(), 1)
        second.kill()  # Its logs are to be closed.
        self.assertIn("address in use", second.log())
        self.assertEqual(ask(self.path).status, 200)
        shunt.stop()

    def test_abstract_names_on_both_sides(self):
        back, front = f"@shunt-back-{os.getpid()}", f"@shunt-front-{os.getpid()}"
        inner = self.origin()
        # An abstract server: a second listener of the same Shunt.
        text = self.config(f'"unix:{back}"', [inner]).replace("[[rule]]", f"""[[listener]]
name = "front"
bind = "unix:{front}"
[[rule]]
name = "on"
listener = "front"
pool = "local"
[[rule]]""", 1) + f'\n[pool.local]\n[[pool.local.server]]\naddress = "unix:{back}"\n'
        shunt = self.shunt(text)
        for _ in range(3):
            self.assertEqual(ask(front).status, 200)
        self.assertEqual({entry["pool"] for entry in shunt.wait_for_access_log(6)}, {"local", "pages"})
        shunt.stop()
        with self.assertRaises(ConnectionRefusedError):
            ask(front)

    def test_an_abstract_name_is_free_after_a_kill(self):
        name = f"@shunt-killed-{os.getpid()}"
        origin = self.origin()
        for _ in range(3):
            self.shunt(self.config(f'"unix:{name}"', [origin])).kill()
            self.port = free_port()
        self.shunt(self.config(f'"unix:{name}"', [origin]))
        self.assertEqual(ask(name).status, 200)

    def test_reload_keeps_adds_and_removes(self):
        origin = self.origin()
        first, second = self.path, str(self.folder / "second.sock")
        shunt = self.shunt(self.config(f'"unix:{first}"', [origin]))
        identity = os.stat(first).st_ino
        shunt.write(self.config(f'["unix:{first}", "unix:{second}"]', [origin]))
        shunt.send_signal(1)
        shunt.wait_for_log("generation 2")
        self.assertEqual(os.stat(first).st_ino, identity)
        self.assertEqual([ask(first).status, ask(second).status], [200, 200])
        shunt.write(self.config(f'"unix:{second}"', [origin]))
        shunt.send_signal(1)
        shunt.wait_for_log("generation 3")
        wait_until(lambda: not os.path.exists(first), "the file is gone")
        self.assertEqual(ask(second).status, 200)
        self.assertEqual(get(self.port, "/").status, 200)


if __name__ == "__main__":
    main()
