/* The same as turn.py, which says what everything means; a step is over sooner than Python has looked at a clock.
 *
 * Built by hatch_build.py where there is a compiler, against Python's stable interface (3.11 and later).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#define FORM 2     /* of turn.py, which takes no library that was built from another one */
#define SEQUENCE 0 /* places of wire.py, in words */
#define SLEEPS 1
#define LEAST_BYTES ((SLEEPS + 1) * 8)
#define LINE 64      /* bytes that travel between cores at once */
#define LINES 4      /* fetched with a sequence number */
#define MESSAGES 16  /* of one socket, taken at a time */
#define MOST 1024    /* turns that are looked at together */
#define LOOKS 32     /* between two looks at the clock */
#define SHORT 2000LL /* nanoseconds for which it is not worth to let other threads run */

typedef struct {
    PyObject_HEAD
    Py_buffer mine, theirs;
    int number, behind;
    uint64_t known;
} Turn;

static inline void rest(void)
{ /* leave the core to its other thread, which may be the one that is waited for */
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline uint64_t seen(const Turn *turn)
{
    return atomic_load_explicit((_Atomic uint64_t *)turn->theirs.buf + SEQUENCE, memory_order_acquire);
}

static inline bool came(const Turn *turn)
{ /* what was written with the number is fetched at once, not line by line as it is read */
    if (seen(turn) == turn->known)
        return false;
    const char *begin = turn->theirs.buf;
    for (Py_ssize_t at = LINE; at < turn->theirs.len && at <= LINES * LINE; at += LINE)
        __builtin_prefetch(begin + at);
    return true;
}

static long long now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static int take(PyObject *memory, Py_buffer *into, int flags)
{
    if (PyObject_GetBuffer(memory, into, flags) < 0)
        return -1;
    if (into->len >= LEAST_BYTES)
        return 0;
    PyErr_Format(PyExc_ValueError, "expected a memory of at least %d bytes, got %zd", LEAST_BYTES, into->len);
    PyBuffer_Release(into);
    return -1;
}

static PyObject *turn_new(PyTypeObject *type, PyObject *words, PyObject *keywords)
{
    PyObject *mine, *theirs;
    int number, behind;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Turn takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(words, "OOii", &mine, &theirs, &number, &behind))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Turn *turn = (Turn *)allocate(type, 0);
    if (turn == NULL)
        return NULL;
    turn->number = number;
    turn->behind = behind != 0;
    turn->known = 0;
    if (take(mine, &turn->mine, PyBUF_WRITABLE) < 0 || take(theirs, &turn->theirs, PyBUF_SIMPLE) < 0) {
        Py_DECREF(turn);
        return NULL;
    }
    return (PyObject *)turn;
}

static void turn_dealloc(PyObject *self)
{
    Turn *turn = (Turn *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (turn->mine.obj != NULL)
        PyBuffer_Release(&turn->mine);
    if (turn->theirs.obj != NULL)
        PyBuffer_Release(&turn->theirs);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *turn_publish(PyObject *self, PyObject *sequence)
{
    Turn *turn = (Turn *)self;
    uint64_t value = PyLong_AsUnsignedLongLong(sequence);
    if (value == (uint64_t)-1 && PyErr_Occurred())
        return NULL;
    turn->known = value - turn->behind;
    atomic_store_explicit((_Atomic uint64_t *)turn->mine.buf + SEQUENCE, value, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit((_Atomic uint64_t *)turn->theirs.buf + SLEEPS, memory_order_relaxed) != 0)
        (void)!send(turn->number, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    Py_RETURN_NONE;
}

/* Look until `done` or the time is over. */
#define LOOK_UNTIL(done, nanoseconds)                                                                  \
    do {                                                                                               \
        long long begun = now();                                                                       \
        PyThreadState *state = NULL;                                                                   \
        for (;;) {                                                                                     \
            for (int look = 0; look < LOOKS && !(done); look++)                                        \
                rest();                                                                                \
            long long spent = now() - begun;                                                           \
            if ((done) || spent >= (nanoseconds))                                                      \
                break;                                                                                 \
            if (state == NULL && spent > SHORT)                                                        \
                state = PyEval_SaveThread();                                                           \
        }                                                                                              \
        if (state != NULL)                                                                             \
            PyEval_RestoreThread(state);                                                               \
    } while (0)

static PyObject *turn_came(PyObject *self, PyObject *nanoseconds)
{
    Turn *turn = (Turn *)self;
    long long limit = PyLong_AsLongLong(nanoseconds);
    if (limit == -1 && PyErr_Occurred())
        return NULL;
    bool found = came(turn);
    if (!found && limit > 0)
        LOOK_UNTIL(found = came(turn), limit);
    return PyBool_FromLong(found);
}

/* The turns of a tuple; -1 with an exception if it holds anything else. */
static Py_ssize_t unpacked(PyObject *module, PyObject *several, Turn **turns)
{
    Py_ssize_t count = PyTuple_Size(several);
    PyTypeObject *type = *(PyTypeObject **)PyModule_GetState(module);
    if (count > MOST)
        PyErr_Format(PyExc_ValueError, "expected at most %d turns, got %zd", MOST, count);
    for (Py_ssize_t at = 0; at < count && !PyErr_Occurred(); at++) {
        turns[at] = (Turn *)PyTuple_GetItem(several, at);
        if (Py_TYPE((PyObject *)turns[at]) != type)
            PyErr_SetString(PyExc_TypeError, "expected a tuple of Turn");
    }
    return PyErr_Occurred() ? -1 : count;
}

static Py_ssize_t first(Turn *const *turns, Py_ssize_t count, Py_ssize_t from)
{
    for (Py_ssize_t step = 0, at = from; step < count; step++, at = at + 1 < count ? at + 1 : 0)
        if (came(turns[at]))
            return at;
    return -1;
}

static PyObject *first_come(PyObject *module, PyObject *words)
{
    PyObject *several;
    long long limit;
    Py_ssize_t from;
    Turn *turns[MOST];
    if (!PyArg_ParseTuple(words, "O!Ln", &PyTuple_Type, &several, &limit, &from))
        return NULL;
    Py_ssize_t count = unpacked(module, several, turns), found = -1;
    if (count < 0)
        return NULL;
    if (count > 0) {
        from = from > 0 ? from % count : 0;
        found = first(turns, count, from);
        if (found < 0 && limit > 0)
            LOOK_UNTIL((found = first(turns, count, from)) >= 0, limit);
    }
    return PyLong_FromSsize_t(found);
}

static void lie_down(Turn *const *turns, Py_ssize_t count, uint64_t asleep)
{
    for (Py_ssize_t at = 0; at < count; at++)
        atomic_store_explicit((_Atomic uint64_t *)turns[at]->mine.buf + SLEEPS, asleep, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

/* Take the bytes that woke us, a few of a flood; whether the other side is gone. */
static bool gone(const struct pollfd *polled)
{
    char heard[64];
    for (int message = 0; message < MESSAGES; message++) {
        ssize_t length = recv(polled->fd, heard, sizeof heard, MSG_DONTWAIT);
        if (length <= 0)
            return length == 0 || (errno != EAGAIN && errno != EINTR);
    }
    return false;
}

static PyObject *doze(PyObject *module, PyObject *words)
{
    PyObject *several, *others;
    int milliseconds;
    Turn *turns[MOST];
    struct pollfd polled[2 * MOST];
    if (!PyArg_ParseTuple(words, "O!O!i", &PyTuple_Type, &several, &PyTuple_Type, &others, &milliseconds))
        return NULL;
    Py_ssize_t count = unpacked(module, several, turns), more = PyTuple_Size(others);
    if (count < 0)
        return NULL;
    if (more > MOST)
        return PyErr_Format(PyExc_ValueError, "expected at most %d descriptors, got %zd", MOST, more);
    for (Py_ssize_t at = 0; at < count; at++)
        polled[at] = (struct pollfd){.fd = turns[at]->number, .events = POLLIN};
    for (Py_ssize_t at = 0; at < more; at++) {
        long number = PyLong_AsLong(PyTuple_GetItem(others, at));
        if (number == -1 && PyErr_Occurred())
            return NULL;
        polled[count + at] = (struct pollfd){.fd = (int)number, .events = POLLIN};
    }
    int ready;
    lie_down(turns, count, 1);
    Py_BEGIN_ALLOW_THREADS
    ready = poll(polled, (nfds_t)(count + more), first(turns, count, 0) >= 0 ? 0 : milliseconds);
    Py_END_ALLOW_THREADS
    lie_down(turns, count, 0);
    if (PyErr_CheckSignals() < 0)
        return NULL;
    PyObject *found = PyList_New(0);
    for (Py_ssize_t at = 0; found != NULL && ready > 0 && at < count + more; at++) {
        if (polled[at].revents == 0 || (at < count && !gone(&polled[at])))
            continue;
        PyObject *number = PyLong_FromLong(polled[at].fd);
        if (number == NULL || PyList_Append(found, number) < 0)
            Py_CLEAR(found);
        Py_XDECREF(number);
    }
    return found;
}

static PyMethodDef turn_methods[] = {
    {"publish", turn_publish, METH_O, "Show what was written, and wake the other side should it sleep."},
    {"came", turn_came, METH_O, "Whether the other side shows anything new."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot turn_slots[] = {
    {Py_tp_new, turn_new},
    {Py_tp_dealloc, turn_dealloc},
    {Py_tp_methods, turn_methods},
    {Py_tp_doc, "One end of a channel."},
    {0, NULL},
};

static PyType_Spec turn_spec = {"_turn.Turn", sizeof(Turn), 0, Py_TPFLAGS_DEFAULT, turn_slots};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&turn_spec);
    if (type == NULL)
        return -1;
    *(PyObject **)PyModule_GetState(module) = type;
    if (PyModule_AddIntConstant(module, "FORM", FORM) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Turn", type);
}

static void module_free(void *module)
{
    PyObject **state = PyModule_GetState((PyObject *)module);
    if (state != NULL)
        Py_CLEAR(*state);
}

static PyMethodDef module_methods[] = {
    {"first_come", first_come, METH_VARARGS, "The place of a turn whose other side shows anything new, or -1."},
    {"doze", doze, METH_VARARGS, "Sleep until anything happens; the descriptors that want to be looked at."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_turn", "Turns of a channel.", sizeof(PyObject *), module_methods, module_slots, NULL, NULL,
    module_free,
};

PyMODINIT_FUNC PyInit__turn(void) { return PyModuleDef_Init(&module); }
