// Cloning a waiting process without Python in between.
//
// Zygotes and snapshots wait here for requests. Python is entered again in the new process only.
// The waiting process therefore touches no object, and goes on sharing all of its pages with its
// clones.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
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

// Argument of the clone call that is never asked about. The kernel ignores it, but the seccomp
// filter compares it. Zygotes have one, and their clones forget it. 0 for none.
volatile std::uint64_t secret = 0;

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
    return syscall(SYS_clone, CLONE_FLAGS, nullptr, secret, thread_id, nullptr);
#elif defined(__aarch64__)
    return syscall(SYS_clone, CLONE_FLAGS, nullptr, secret, nullptr, thread_id);
#else
    (void)thread_id;
    errno = ENOSYS;
    return -1;
#endif
}

// Forgets the secret, also where it may have been on its way.
[[gnu::noinline]] void forget_secret() {
    secret = 0;
    volatile unsigned char stack[4096];
    for (volatile unsigned char& byte : stack) byte = 0;
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
bool begin_life(const Descriptors& fds, int channel, rlim_t cpu_s) {
    forget_secret();
    // If the supervisor has ended already, the greeting below fails.
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    const rlimit limit{cpu_s, cpu_s};
    return setrlimit(RLIMIT_CPU, &limit) == 0 && silence() && move_fd(fds.channel, channel) &&
           move_fd(fds.output, channel + 1) && write(channel, "h", 1) == 1;
}

PyObject* wait_to_be_cloned(PyObject*, PyObject* arguments) {
    int fd = -1;
    unsigned long cpu_s = 0;
    if (!PyArg_ParseTuple(arguments, "ik", &fd, &cpu_s)) return nullptr;
    int* const thread_id = thread_id_address();
    for (;;) {
        Descriptors fds{};
        if (!receive_fds(fd, fds)) _exit(0);
        const long pid = clone_process(thread_id);
        if (pid == 0) {
            if (!begin_life(fds, fd, cpu_s)) _exit(1);
            Py_RETURN_NONE;
        }
        // A refusal: there is no room for a process now. Nobody has to read it.
        if (pid < 0 && write(fds.channel, "e", 1) != 1) errno = 0;
        close(fds.channel);
        close(fds.output);
    }
}

PyObject* draw_secret(PyObject*, PyObject* arguments) {
    Py_buffer filter{};
    Py_ssize_t low = 0;
    Py_ssize_t high = 0;
    if (!PyArg_ParseTuple(arguments, "w*nn", &filter, &low, &high)) return nullptr;
    volatile std::uint64_t drawn = 0;
    const Py_ssize_t end = filter.len - 4;
    const bool fits = low >= 0 && high >= 0 && low <= end && high <= end;
    const bool is_drawn = fits && getrandom(const_cast<std::uint64_t*>(&drawn), sizeof(drawn), 0) ==
                                      static_cast<ssize_t>(sizeof(drawn));
    if (is_drawn) {
        const auto low_half = static_cast<std::uint32_t>(drawn);
        const auto high_half = static_cast<std::uint32_t>(drawn >> 32);
        char* const bytes = static_cast<char*>(filter.buf);
        std::memcpy(bytes + low, &low_half, sizeof(low_half));
        std::memcpy(bytes + high, &high_half, sizeof(high_half));
        secret = drawn;
        drawn = 0;
    }
    PyBuffer_Release(&filter);
    if (!fits) return PyErr_Format(PyExc_ValueError, "expected places inside the filter");
    if (!is_drawn) return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"draw_secret", draw_secret, METH_VARARGS,
     "Draw the argument of clone calls that are not asked about, and put it into a filter."},
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

PyMODINIT_FUNC PyInit__clone() {
    PyObject* const module = PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    // Zygotes call it, and each of them has one thread. Other processes only import it.
    if (module != nullptr) PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
