// Cloning a waiting process without Python in between.
//
// Zygotes and snapshots wait here for requests. Python is entered again in the new process only.
// The waiting process therefore touches no object, and goes on sharing all of its pages with its
// clones.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

namespace {

constexpr unsigned long PARENT_FLAG = 0x8000;
constexpr unsigned long CHILD_CLEARTID_FLAG = 0x200000;
constexpr unsigned long CHILD_SETTID_FLAG = 0x1000000;
// The seccomp filter allows exactly these flags (CLONE_FLAGS in seccomp.py).
constexpr unsigned long CLONE_FLAGS =
    PARENT_FLAG | CHILD_SETTID_FLAG | CHILD_CLEARTID_FLAG | SIGCHLD;

struct Descriptors {
    int channel;
    int output;
};

// Receives the descriptors that came with the next message. Returns false when the other end is
// gone.
bool receive_fds(int channel, Descriptors& fds) {
    for (;;) {
        char byte = 0;
        iovec data{&byte, 1};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(Descriptors))] = {};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        const ssize_t length = recvmsg(channel, &message, 0);
        if (length < 0 && errno == EINTR) continue;
        if (length <= 0) return false;
        const cmsghdr* const header = CMSG_FIRSTHDR(&message);
        if (header == nullptr || header->cmsg_level != SOL_SOCKET ||
            header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(fds)))
            continue;
        std::memcpy(&fds, CMSG_DATA(header), sizeof(fds));
        return true;
    }
}

// Gives a descriptor another number. Returns false on failure.
bool move_fd(int from, int to) { return from == to || (dup2(from, to) == to && close(from) == 0); }

// Returns where the C library keeps the id of this process's only thread, which the kernel renews
// in a clone. Null where the kernel does not tell.
int* thread_id_address() {
    int* address = nullptr;
    if (prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0) != 0) return nullptr;
    return address;
}

// Returns the process id of the clone, 0 in the clone, and -1 on failure.
long clone_process(int* thread_id) {
#if defined(__x86_64__)
    return syscall(SYS_clone, CLONE_FLAGS, nullptr, nullptr, thread_id, nullptr);
#elif defined(__aarch64__)
    return syscall(SYS_clone, CLONE_FLAGS, nullptr, nullptr, nullptr, thread_id);
#else
    (void)thread_id;
    errno = ENOSYS;
    return -1;
#endif
}

PyObject* wait_to_be_cloned(PyObject*, PyObject* argument) {
    const long channel = PyLong_AsLong(argument);
    if (channel == -1 && PyErr_Occurred() != nullptr) return nullptr;
    int* const thread_id = thread_id_address();
    const int fd = static_cast<int>(channel);
    for (;;) {
        Descriptors fds{};
        if (!receive_fds(fd, fds)) _exit(0);
        const long pid = clone_process(thread_id);
        if (pid == 0) {
            // A clone does not inherit this setting. If the supervisor has ended already, the
            // greeting below fails.
            prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            if (!move_fd(fds.channel, fd) || !move_fd(fds.output, fd + 1) || write(fd, "h", 1) != 1)
                _exit(1);
            Py_RETURN_NONE;
        }
        close(fds.channel);
        close(fds.output);
    }
}

PyMethodDef methods[] = {
    {"wait_to_be_cloned", wait_to_be_cloned, METH_O,
     "Wait on a socket, and return only in a clone of this process."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "_clone",
    "Cloning a waiting process without Python in between.",
    0,
    methods,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__clone() { return PyModule_Create(&definition); }
