"""Becomes what a container of a pod is, as far as that decides which walls can be built, then runs a command in it.

    unshare --mount python as_pod.py RuntimeDefault COMMAND...      # or a seccomp profile's file

User 1000, no capability, no new privileges, a root that is read-only but for /tmp, parts of /proc covered, and the calls
refused that the profile refuses: of `RuntimeDefault` those which containerd's and Docker's own keep for CAP_SYS_ADMIN.
It needs root to begin with, and libseccomp. AppArmor and SELinux it does not have.
"""

import ctypes
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

ALLOW, FAIL, ANY_OF_BITS = 0x7FFF0000, 0x00050000, 7
NEW_NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
KEPT_FOR_ADMINS = (
    "bpf", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie", "mount", "mount_setattr",
    "move_mount", "open_tree", "perf_event_open", "pivot_root", "quotactl", "quotactl_fd", "setdomainname", "sethostname",
    "setns", "syslog", "umount", "umount2", "unshare",
)  # fmt: skip
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
USER = 1000

libc = ctypes.CDLL(None, use_errno=True)


class Bits(ctypes.Structure):
    """A condition of libseccomp's: (argument & mask) == value."""

    _fields_ = [
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    ]


def cover_files() -> None:
    def mount(*arguments: str) -> None:
        subprocess.run(["mount", *arguments], check=True)

    mount("--make-rprivate", "/")
    if sys.base_prefix.startswith("/root/"):  # root's home may be closed to others, and holds the interpreter
        python = Path("/mnt")
        mount("--bind", sys.base_prefix, str(python))
        mount("-t", "tmpfs", "-o", "mode=755", "none", "/root")
        Path(sys.base_prefix).mkdir(parents=True)
        mount("--bind", str(python), sys.base_prefix)
        subprocess.run(["umount", "/mnt"], check=True)
    mount("-t", "tmpfs", "-o", "mode=1777", "none", "/tmp")
    mount("-t", "tmpfs", "-o", "ro", "none", "/proc/scsi" if Path("/proc/scsi").exists() else "/proc/fs")
    mount("--bind", "-o", "ro", "/proc/sys", "/proc/sys")
    mount("-o", "remount,ro,bind", "/")


def refuse_calls(profile: str) -> None:
    rules: list[tuple[str, int, Bits | None]]
    if profile == "RuntimeDefault":
        rules = [(name, errno.EPERM, None) for name in KEPT_FOR_ADMINS] + [("clone3", errno.ENOSYS, None)]
        rules += [("clone", errno.EPERM, Bits(0, ANY_OF_BITS, flag, flag)) for flag in NEW_NAMESPACES]
    else:
        found = json.loads(profile)
        assert found["defaultAction"] == "SCMP_ACT_ALLOW"
        rules = [(name, part["errnoRet"], None) for part in found["syscalls"] for name in part["names"]]
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(ALLOW)))
    for name, error, bits in rules:
        call, action = seccomp.seccomp_syscall_resolve_name(name.encode()), ctypes.c_uint32(FAIL | error)
        conditions = (1, ctypes.byref(bits)) if bits else (0, None)
        if call >= 0 and seccomp.seccomp_rule_add_array(context, action, call, *conditions):
            raise OSError(f"no rule for {name}")
    if seccomp.seccomp_load(context):
        raise OSError("the filter was not taken")


def become_nobody() -> None:
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError("no_new_privs")


def main() -> None:
    profile, command = sys.argv[1], sys.argv[2:]
    profile = profile if profile == "RuntimeDefault" else Path(profile).read_text()
    cover_files()
    become_nobody()
    refuse_calls(profile)
    os.execvpe(command[0], command, {**os.environ, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"})


if __name__ == "__main__":
    main()
