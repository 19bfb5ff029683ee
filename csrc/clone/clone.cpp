// Cloning a waiting process without Python in between.
//
// Zygotes and snapshots wait here for requests. Python is entered again in the new process only.
// The waiting process therefore touches no object, and goes on sharing all of its pages with its
// clones.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

// Returns the descriptor that came with the next message, or -1 when the other end is gone.
int receive_fd(int channel) {
    for (;;) {
        char byte = 0;
        iovec data{&byte, 1};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        const ssize_t length = recvmsg(channel, &message, 0);
        if (length < 0 && errno == EINTR) continue;
        if (length <= 0) return -1;
        const cmsghdr* const header = CMSG_FIRSTHDR(&message);
        if (header == nullptr || header->cmsg_level != SOL_SOCKET ||
            header->cmsg_type != SCM_RIGHTS)
            continue;
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        return fd;
    }
}

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

// Puts the null device on descriptors 0 to 2. It is opened anew, because all who share an opened
// file see its flags and its position.
bool silence() {
    const int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) return false;
    for (int standard = 0; standard < 3; ++standard)
        if (dup2(null_fd, standard) < 0) return false;
    return close(null_fd) == 0;
}

// Does in a clone what it does not inherit, and says in a greeting that it lives.
bool begin_life(int child_fd, int channel, rlim_t cpu_s) {
    // If the supervisor has ended already, the greeting below fails.
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    const rlimit limit{cpu_s, cpu_s};
    return setrlimit(RLIMIT_CPU, &limit) == 0 && silence() && dup2(child_fd, channel) >= 0 &&
           close(child_fd) == 0 && write(channel, "h", 1) == 1;
}

PyObject* wait_to_be_cloned(PyObject*, PyObject* arguments) {
    int fd = -1;
    unsigned long cpu_s = 0;
    if (!PyArg_ParseTuple(arguments, "ik", &fd, &cpu_s)) return nullptr;
    int* const thread_id = thread_id_address();
    for (;;) {
        const int child_fd = receive_fd(fd);
        if (child_fd < 0) _exit(0);
        const long pid = clone_process(thread_id);
        if (pid == 0) {
            if (!begin_life(child_fd, fd, cpu_s)) _exit(1);
            Py_RETURN_NONE;
        }
        // A refusal: there is no room for a process now. Nobody has to read it.
        if (pid < 0 && write(child_fd, "e", 1) != 1) errno = 0;
        close(child_fd);
    }
}

PyMethodDef methods[] = {
    {"wait_to_be_cloned", wait_to_be_cloned, METH_VARARGS,
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
