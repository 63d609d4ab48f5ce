"""Becomes the program, behind walls: `python -I isolate.py TIER`. Linux, Python 3.9, standard library only.

Its orders come first on standard input: 16 digits that say how many bytes of JSON follow. Tier `namespaces`: its own
user, mounts, processes, network, IPC; a root of nothing but the system's libraries and the interpreter, read-only, and
a scratch folder in memory with a size limit. Tier `limits`: none of that; `inside`: the same, in a container that it
ends in time. All: resource limits, no new privileges, and a system-call filter that lets the program start threads but
no process, so that nothing can fork without end or be left behind. Writes WALLS_STAND just before the program starts.

Its own exit code can be trusted: 0 where the program exited with 0, EXIT_NO_TIME where the limit on CPU time killed it, or
the wall clock of a container, else another one.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys

EXIT_NO_WALLS, EXIT_NO_TIME, WALLS_STAND = 125, 124, b"!"
NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000  # mnt uts ipc user pid net
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MOUNT_SETATTR, AT_RECURSIVE, ATTR_RDONLY, ATTR_NOSUID = 442, 0x8000, 1, 2
MNT_DETACH, PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 2, 1, 22, 38
SYSTEM_FOLDERS = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache")

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def mount(source: str, target: str, kind: str | None, flags: int, *, data: str | None = None) -> None:
    texts = [text.encode() if text is not None else None for text in (source, target, kind)]
    check(libc.mount(*texts, ctypes.c_ulong(flags), data.encode() if data else None), f"mount {target}")


def enter_namespaces() -> None:
    """New namespaces for this process's children; inside, it is an ordinary user that is nobody else."""
    uid, gid = os.getuid(), os.getgid()
    check(libc.unshare(NEW_NAMESPACES), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"1000 {uid} 1"), ("gid_map", f"1000 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def build_root(spec: dict) -> None:
    """A root in memory that holds the system read-only and a writable /program; the old root is gone afterwards."""
    root = spec["root"]
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, data=f"size={spec['disk_bytes']},nr_inodes=4096")
    for path in (*SYSTEM_FOLDERS, spec["python_prefix"], "/dev/null", "/dev/zero", "/dev/urandom"):
        if os.path.islink(path):
            os.symlink(os.readlink(path), root + path)
        elif os.path.isdir(path):
            os.makedirs(root + path, exist_ok=True)
            bind(path, root + path)
        elif os.path.exists(path):
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            open(root + path, "w").close()
            bind(path, root + path)
    for folder in ("/program", "/tmp", "/proc", "/old"):
        os.makedirs(root + folder, exist_ok=True)
    check(
        libc.syscall({"x86_64": 155, "aarch64": 41}[platform.machine()], root.encode(), (root + "/old").encode()),
        "pivot_root",
    )
    os.chdir("/program")
    check(libc.umount2(b"/old", MNT_DETACH), "umount")
    os.rmdir("/old")


def bind(source: str, target: str) -> None:
    """With all that is mounted below it, read-only but for devices. Needs Linux 5.12."""
    mount(source, target, None, MS_BIND | MS_REC)
    flags = ATTR_NOSUID | (0 if source.startswith("/dev/") else ATTR_RDONLY)
    attributes = struct.pack("QQQQ", flags, 0, 0, 0)
    check(
        libc.syscall(MOUNT_SETATTR, -100, target.encode(), AT_RECURSIVE, attributes, ctypes.c_size_t(len(attributes))),
        f"make {target} read-only",
    )


def limit_resources(spec: dict) -> None:
    for name, value in (("CPU", spec["cpu_seconds"]), ("AS", spec["memory_bytes"]), ("FSIZE", spec["disk_bytes"]),
                        ("NOFILE", 64), ("CORE", 0), ("STACK", 64 << 20)):  # fmt: skip
        limit = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


# Classic BPF: load a word of the call's description, jump if equal / any bit set / at least, return a verdict.
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS, CLONE_THREAD, CLONE_VFORK = 1, 38, 0x00010000, 0x00004000
CALLS = {
    # machine: audit architecture, clone, clone3, prctl, (kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo), and the
    # calls to refuse. Processes: (fork, vfork,) setsid, setpgid, ptrace, process_vm_readv, process_vm_writev, pidfd_open,
    # pidfd_send_signal. Walls: socket, mount, umount2, pivot_root, unshare, setns, bpf, perf_event_open, keyctl, add_key,
    # request_key, userfaultfd, io_uring_setup, kexec_load. Who it is, which would free it from its parent: setuid, setgid,
    # setreuid, setregid, setresuid, setresgid, setfsuid, setfsgid, setgroups, capset. Memory that no limit counts: shmget,
    # shmat, shmctl, semget, msgget, mq_open, memfd_create, memfd_secret
    "x86_64": (0xC000003E, 56, 435, 157, (62, 200, 234, 129, 297),
               (57, 58, 112, 109, 101, 310, 311, 434, 424,
                41, 165, 166, 155, 272, 308, 321, 298, 250, 248, 249, 323, 425, 246,
                105, 106, 113, 114, 117, 119, 122, 123, 116, 126,
                29, 30, 31, 64, 68, 240, 319, 447)),
    "aarch64": (0xC00000B7, 220, 435, 167, (129, 130, 131, 138, 240),
                (157, 154, 117, 270, 271, 434, 424,
                 198, 40, 39, 41, 97, 268, 280, 241, 219, 217, 218, 282, 425, 104,
                 146, 144, 145, 143, 147, 149, 151, 152, 159, 91,
                 194, 196, 195, 190, 186, 180, 279, 447)),
}  # fmt: skip


def filter_calls(*, signals: bool) -> None:
    """No new process (threads may start), and none of the calls that only an attacker would make.

    The program cannot leave its session, nor outlive who started it. Without `signals` it cannot send any either:
    where it shares its processes with the host, they would reach others.
    """
    architecture, clone, clone3, prctl, kills, refused = CALLS[platform.machine()]
    refused += () if signals else kills
    program = [(LOAD, 0, 0, 4), (JUMP_EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    program += [(JUMP_AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, FAIL | EPERM)]  # the x32 numbering: another way in
    program += [(JUMP_EQUAL, 0, 1, clone3), (RETURN, 0, 0, FAIL | ENOSYS)]  # the C library then uses clone
    for call in refused:
        program += [(JUMP_EQUAL, 0, 1, call), (RETURN, 0, 0, FAIL | EPERM)]
    program += [  # with CLONE_VFORK its caller would be suspended, which looks like a wait for the machine
        (JUMP_EQUAL, 0, 4, clone),
        (LOAD, 0, 0, 16),
        (JUMP_ANY_BIT, 1, 0, CLONE_VFORK),
        (JUMP_ANY_BIT, 1, 0, CLONE_THREAD),
        (RETURN, 0, 0, FAIL | EPERM),
    ]
    program += [
        (JUMP_EQUAL, 0, 3, prctl),
        (LOAD, 0, 0, 16),
        (JUMP_EQUAL, 0, 1, PR_SET_PDEATHSIG),
        (RETURN, 0, 0, FAIL | EPERM),
    ]
    program += [(RETURN, 0, 0, ALLOW)]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    check(libc.prctl(PR_SET_SECCOMP, 2, head, 0, 0), "seccomp")


def read_exactly(size: int) -> bytes:
    """Not one byte more than is asked for: what follows is the program's own input."""
    received = b""
    while len(received) < size:
        chunk = os.read(0, size - len(received))
        if not chunk:
            os._exit(EXIT_NO_WALLS)
        received += chunk
    return received


def fork_and_wait(spec: dict, wall_seconds: float) -> None:
    """Returns in the child; the parent waits, tells how the child ended, and ends after `wall_seconds` (0: never)."""
    child = os.fork()
    if child:
        os.closerange(0, 3)
        if wall_seconds:
            signal.signal(signal.SIGALRM, lambda *_: os._exit(EXIT_NO_TIME))
            signal.setitimer(signal.ITIMER_REAL, wall_seconds)
        _, status, used = os.wait4(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        # The kernel's two ways to count CPU time differ a little.
        if killed and used.ru_utime + used.ru_stime > 0.9 * spec["cpu_seconds"]:
            os._exit(EXIT_NO_TIME)
        os._exit(1 if status else 0)
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def main() -> None:
    tier, spec = sys.argv[1], json.loads(read_exactly(int(read_exactly(16))))
    if tier != "inside":
        check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
        if os.getppid() != spec["parent"]:
            os._exit(EXIT_NO_WALLS)  # the parent died before it could be watched
    if tier == "namespaces":
        enter_namespaces()
    fork_and_wait(spec, spec["wall_seconds"] if tier == "inside" else 0)
    if tier == "namespaces":
        build_root(spec)
    else:
        os.chdir(spec["root"])
    for name, text in spec["files"].items():
        with open(name, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    limit_resources(spec)
    filter_calls(signals=tier == "namespaces")
    os.closerange(3, 4096)
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/program", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
    os.write(1, WALLS_STAND)
    os.execve(sys.executable, [sys.executable, *spec["argv"]], environment)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        print(error, file=sys.stderr)
        os._exit(EXIT_NO_WALLS)
