"""Probes that look for a text: in the memory of their own process, which began as the server's, and on the disk."""

from __future__ import annotations

import os

from probing import LIBC, ctypes, report, sys

SECRET_PATTERN = "SECRET[0-9a-f]{32}"


def search_memory(pattern, plant):
    """Every page of this process, whatever lies there: what the server has read, it leaves to its children."""
    import re

    page, gap = 4096, 8192
    if plant:
        LIBC.malloc.restype = ctypes.c_void_p
        place = LIBC.malloc(200)
        LIBC.read(0, ctypes.c_void_p(place), 200)
    anchors = [id(report), ctypes.addressof(ctypes.create_string_buffer(200_000)), id(os.read)]
    anchors += [ctypes.cast(LIBC.getpid, ctypes.c_void_p).value, ctypes.c_void_p.in_dll(LIBC, "environ").value]
    anchors.append(
        ctypes.c_void_p.in_dll(LIBC, "program_invocation_name").value
    )  # on the stack, by the first environment
    LIBC.sbrk.restype = ctypes.c_void_p
    anchors.append(LIBC.sbrk(0) - page)
    reader, writer = os.pipe()
    probe = ctypes.create_string_buffer(1)
    found, seen = set(), set()
    wanted = re.compile(pattern.encode())
    for anchor in anchors:
        for step in (page, -page):
            address, missed, tail = anchor // page * page, 0, b""
            while missed < gap and address > 0:
                if LIBC.mincore(ctypes.c_void_p(address), ctypes.c_size_t(page), probe) != 0:
                    missed += 1
                    tail = b""
                elif address not in seen:
                    seen.add(address)
                    missed = 0
                    if LIBC.write(writer, ctypes.c_void_p(address), ctypes.c_size_t(1)) == 1:
                        os.read(reader, 1)
                        content = ctypes.string_at(address, page)
                        joined = tail + content if step > 0 else content + tail
                        found.update(match.group() for match in wanted.finditer(joined))
                        tail = content[-200:] if step > 0 else content[:200]
                address += step
    return sorted(found)


def search_objects(pattern, plant):
    """All that the garbage collector knows, and what hangs on it."""
    import gc
    import re

    held = [os.read(0, 200)] if plant else []
    gc.unfreeze()
    wanted, found, seen, left = re.compile(pattern), set(), set(), [gc.get_objects()]
    while left:
        thing = left.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, (bytes, bytearray)):
            found.update(wanted.findall(thing.decode("latin1")))
        elif isinstance(thing, str):
            found.update(wanted.findall(thing))
        else:
            left += gc.get_referents(thing)
    del held
    return sorted(found)


def search_frames(pattern, plant):
    """The variables of every function that is under way beneath this one, in every thread."""
    import re

    planted = os.read(0, 200) if plant else b""
    wanted, found = re.compile(pattern), set()
    frames = [sys._getframe(), *sys._current_frames().values()]
    while frames:
        frame = frames.pop()
        frames += [frame.f_back] if frame.f_back else []
        for variables in (frame.f_locals, frame.f_globals):
            for value in list(variables.values()):
                found.update(wanted.findall(repr(value)[:1_000_000]))
    del planted
    return sorted(found)


def name_frames_beneath(_pattern, plant):
    """Whose code lies beneath the program, beyond what runs it."""
    names, frame = [], sys._getframe().f_back
    while frame:
        names.append(frame.f_code.co_qualname)
        frame = frame.f_back
    beyond = names[names.index("_run") :] if "_run" in names else ["no _run", *names]
    return names if plant else [name for name in beyond if name not in ("_run", "run_script", "<module>")]


def search_files(pattern, plant):
    """Every file that can be found, but for the system's own."""
    import re

    if plant:
        tops = [os.path.dirname(os.__file__) + "/json"]
        pattern = "JSONDecoder"
    else:
        tops = [".", "..", "/", "/tmp", "/var/tmp", "/box", "/dev/shm", os.path.dirname(sys.prefix), *sys.path]
    wanted, found = re.compile(pattern), []
    system = ("/usr", "/lib", "/bin", "/sbin", os.path.dirname(os.__file__) if not plant else "/usr")
    for top in tops:
        for folder, folders, names in os.walk(top):
            if os.path.abspath(folder).startswith(system):
                folders.clear()
                continue
            for name in names:
                try:
                    handle = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NONBLOCK)
                    text = os.read(handle, 1 << 20).decode("latin1")
                    os.close(handle)
                except OSError:
                    continue
                if wanted.search(text):
                    found.append((folder, name))
    return found
