#!/usr/bin/env python3
# Connections are shared between workers: none has much more than its share, whichever accept queue the kernel chose;
# and none is lost when it changes hands, not even while listeners come and go.
import re
import socket
import threading

from harness import Client, ShuntTest, Wrk, farm, free_port, main, signal, wait_until

CONNECTIONS = 1000
MOST = 1.15  # Times the mean.


class SpreadTest(ShuntTest):
    def served(self, shunt):
        """Connections by worker, of a Shunt that has stopped."""
        counts = re.findall(r"stopped: .*connections by worker: ([\d ]+)", shunt.log())
        return [int(count) for count in counts[-1].split()]

    def test_a_thousand_connections(self):
        for workers in (2, 4, 8):
            with self.subTest(workers=workers):
                shunt = self.shunt_before([self.origin()], workers=workers)
                clients = [self.client(shunt.port) for _ in range(CONNECTIONS)]
                for client in clients:
                    self.assertEqual(client.get("/").status, 200)
                for client in clients:
                    client.close()
                shunt.stop()
                served = self.served(shunt)
                self.assertEqual((len(served), sum(served)), (workers, CONNECTIONS))
                self.assertLessEqual(max(served), MOST * CONNECTIONS / workers, served)

    def test_unix_sockets_too(self):
        # Here the workers share one accept queue, of which the first to wake takes all.
        path = str(self.folder / "web.sock")
        config = farm(free_port(), [self.origin()], workers=4).replace('bind = "', f'bind = ["unix:{path}", "')
        config = re.sub(r'(bind = \[.*)$', r"\1]", config, count=1, flags=re.MULTILINE)
        shunt = self.shunt(config)
        clients = []
        for _ in range(CONNECTIONS):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.connect(path)
            clients.append(client)
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in clients:
            self.assertTrue(client.recv(4096).startswith(b"HTTP/1.1 200"))
        shunt.stop()
        served = self.served(shunt)
        self.assertLessEqual(max(served), MOST * CONNECTIONS / 4, served)

    def test_connections_change_hands_through_reloads_and_drain(self):
        origin = self.nginx()
        port, side = free_port(), free_port()
        with_side = f'[[listener]]\nname = "side"\nbind = "127.0.0.1:{side}"\n'

        def config(generation):
            return farm(port, [origin], workers=4, pool=f"retries = {generation % 3}", rules=with_side)

        shunt = self.shunt(config(0))
        failed = []
        over = threading.Event()

        def visit():
            while not over.is_set():
                try:
                    with Client(side) as client:
                        if client.get("/").status != 200:
                            failed.append("status")
                except OSError as error:
                    failed.append(error)

        visitors = [threading.Thread(target=visit) for _ in range(8)]
        for visitor in visitors:
            visitor.start()
        load = Wrk(port, seconds=30, connections=50, headers=[("Connection", "close")])
        for generation in range(1, 21):
            shunt.write(config(generation))
            shunt.send_signal(signal.SIGHUP)
            shunt.wait_for_log("info reload: generation", generation)
        result = load.stop()
        over.set()
        for visitor in visitors:
            visitor.join()
        self.assertEqual(failed, [])
        self.assertGreater(result.requests, 50)
        self.assertEqual(result.failed, 0, result)
        shunt.stop(signal.SIGTERM)
        self.assertEqual(len(self.served(shunt)), 4)
        wait_until(lambda: not shunt.running(), "the end")


if __name__ == "__main__":
    main()
