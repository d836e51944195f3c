"""Attacks: the network, in any family of sockets."""

from __future__ import annotations

from attacks import Attack
from probing import call, ctypes, struct


def connect_tcp(host, port):
    import socket

    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(b"hello")
        return connection.recv(100)


def ask_by_udp(host, port):
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asker:
        asker.settimeout(5)
        asker.sendto(
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01", (host, port)
        )
        return asker.recv(512)


def resolve(name):
    import socket

    try:
        return [entry[4][0] for entry in socket.getaddrinfo(name, 80) if entry[4][0] != name]
    except socket.gaierror as error:
        raise OSError(error.errno, str(error)) from error


def connect_unix(address, kind):
    import socket

    with socket.socket(socket.AF_UNIX, kind) as connection:
        connection.settimeout(5)
        connection.connect(address)
        connection.sendall(b"hello")
        return connection.recv(100)


def send_over_pair_to(address, way):
    """A datagram socket that needn't be made with `socket` may be pointed at any address."""
    import socket

    ours, _theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    if way == "sendto":
        ours.sendto(b"hello", address)
    elif way == "sendmsg":
        ours.sendmsg([b"hello"], [], 0, address)
    elif way == "connect":
        ours.connect(address)
        ours.send(b"hello")
    else:
        name = struct.pack("H", socket.AF_UNIX) + address.encode() + (b"" if address.startswith("\0") else b"\0")
        text = ctypes.create_string_buffer(b"hello")
        span = struct.pack("PN", ctypes.addressof(text), 5)
        to, vector = ctypes.create_string_buffer(name, len(name)), ctypes.create_string_buffer(span, len(span))
        header = struct.pack("PIPNPNI4xI4x", ctypes.addressof(to), len(name), ctypes.addressof(vector), 1, 0, 0, 0, 0)
        call("sendmmsg", ours.fileno(), header, 1, 0)
    return "sent"


def make_socket(family, kind, protocol):
    handle = call("socket", family, kind, protocol)
    return f"socket {handle}"


def make_socketpair(family, kind):
    import socket

    ours, theirs = socket.socketpair(family, kind)
    ours.send(b"hello")
    return theirs.recv(10)


def listen_for_others(address):
    """A server that the next job, or a neighbour, could ask."""
    import socket

    family = socket.AF_UNIX if isinstance(address, (str, bytes)) else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind(address)
    server.listen()
    return server.getsockname()


def list_interfaces(_how):
    import socket

    return socket.if_nameindex()


STREAM, DATAGRAM, RAW, SEQPACKET = 1, 2, 3, 5
UNIX, INET, INET6, PACKET, NETLINK, ALG, VSOCK = 1, 2, 10, 17, 16, 38, 40
FAMILIES = {
    "unix": (UNIX, STREAM, 0), "unix_datagram": (UNIX, DATAGRAM, 0), "inet": (INET, STREAM, 0),
    "inet_udp": (INET, DATAGRAM, 0), "inet_icmp": (INET, DATAGRAM, 1), "inet_raw": (INET, RAW, 255),
    "inet_mptcp": (INET, STREAM, 262), "inet6": (INET6, STREAM, 0), "packet": (PACKET, RAW, 0),
    "netlink_route": (NETLINK, RAW, 0), "netlink_audit": (NETLINK, RAW, 9), "netlink_uevent": (NETLINK, DATAGRAM, 15),
    "alg": (ALG, SEQPACKET, 0), "vsock": (VSOCK, STREAM, 0), "bluetooth": (31, RAW, 1), "x25": (9, SEQPACKET, 0),
    "tipc": (30, SEQPACKET, 0), "can": (29, RAW, 1), "rds": (21, SEQPACKET, 0), "xdp": (44, RAW, 0), "smc": (43, STREAM, 0),
}  # fmt: skip

TABLE = [
    Attack(connect_tcp, lambda w: ("127.0.0.1", w.tcp_port), lambda w: ("127.0.0.1", w.tcp_port), "outside"),
    Attack(connect_tcp, lambda w: ("::1", w.tcp6_port), lambda w: ("127.0.0.1", w.tcp_port), "outside", "connect_tcp6"),
    Attack(connect_tcp, lambda w: ("0.0.0.0", w.tcp_port), lambda w: ("127.0.0.1", w.tcp_port), "outside", "connect_any"),
    Attack(ask_by_udp, lambda w: ("127.0.0.1", w.udp_port), lambda w: ("127.0.0.1", w.udp_port), "outside", "ask_dns"),
    Attack(resolve, ("example.com",), ("localhost",), "outside"),
    Attack(connect_unix, lambda w: (w.unix_path, STREAM), lambda w: (w.unix_path, STREAM), "outside", "unix_path"),
    Attack(connect_unix, lambda w: (w.abstract_name, STREAM), lambda w: (w.abstract_name, STREAM), "outside", "abstract"),
    *(
        Attack(send_over_pair_to, lambda w, way=way: (w.datagram_path, way), lambda w, way=way: (w.datagram_path, way),
               "outside", f"datagram_path_by_{way}")
        for way in ("sendto", "sendmsg", "connect", "sendmmsg")
    ),
    *(
        Attack(send_over_pair_to, lambda w, way=way: (w.datagram_name, way), lambda w, way=way: (w.datagram_name, way),
               "outside", f"datagram_abstract_by_{way}")
        for way in ("sendto", "sendmsg", "connect", "sendmmsg")
    ),
    Attack(listen_for_others, (("127.0.0.1", 0),), (("127.0.0.1", 0),), "outside", "listen_tcp"),
    Attack(listen_for_others, ("\0open-r1-box",), lambda w: (f"\0{w.secret}-listen",), "outside", "listen_abstract"),
    Attack(listen_for_others, ("/tmp/open-r1.sock",), ("socket",), "outside", "listen_path"),
    Attack(list_interfaces, (0,), (0,), "outside"),
    *(
        Attack(make_socket, family, (INET, STREAM, 0), "outside", f"socket_{name}")
        for name, family in FAMILIES.items()
    ),
    *(
        Attack(make_socketpair, family[:2], (UNIX, STREAM), "box", f"socketpair_{name}")
        for name, family in FAMILIES.items() if family[0] != UNIX
    ),
]  # fmt: skip
