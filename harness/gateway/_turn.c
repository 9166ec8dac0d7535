/* The same as turn.py, which says what everything means; a step is over sooner than Python has looked at a clock.
 *
 * Built by hatch_build.py where there is a compiler, against Python's stable interface (3.11 and later).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#define FORM 1     /* of turn.py, which takes no library that was built from another one */
#define SEQUENCE 0 /* places of wire.py, in words */
#define SLEEPS 1
#define LEAST_BYTES ((SLEEPS + 1) * 8)
#define LINE 64      /* bytes that travel between cores at once */
#define LINES 4      /* fetched with a sequence number */
#define MOST 1024    /* turns that are looked at together */
#define LOOKS 32     /* between two looks at the clock */
#define SHORT 2000LL /* nanoseconds for which it is not worth to let other threads run */

typedef struct {
    PyObject_HEAD
    Py_buffer mine, theirs;
    int number;
    uint64_t published;
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

static inline bool came(const Turn *turn, uint64_t expected)
{ /* what was written with the number is fetched at once, not line by line as it is read */
    if (seen(turn) != expected)
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
    int number;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Turn takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(words, "OOi", &mine, &theirs, &number))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Turn *turn = (Turn *)allocate(type, 0);
    if (turn == NULL)
        return NULL;
    turn->number = number;
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
    turn->published = value;
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

static PyObject *turn_answered(PyObject *self, PyObject *nanoseconds)
{
    Turn *turn = (Turn *)self;
    long long limit = PyLong_AsLongLong(nanoseconds);
    if (limit == -1 && PyErr_Occurred())
        return NULL;
    if (limit > 0)
        LOOK_UNTIL(seen(turn) == turn->published, limit);
    return PyBool_FromLong(came(turn, turn->published));
}

static Py_ssize_t asking(Turn *const *turns, Py_ssize_t count, Py_ssize_t from)
{
    for (Py_ssize_t step = 0, at = from; step < count; step++, at = at + 1 < count ? at + 1 : 0)
        if (seen(turns[at]) != turns[at]->published) {
            came(turns[at], turns[at]->published + 1);
            return at;
        }
    return -1;
}


static PyObject *first_asking(PyObject *module, PyObject *words)
{
    PyObject *several;
    long long limit;
    Py_ssize_t from;
    if (!PyArg_ParseTuple(words, "O!Ln", &PyTuple_Type, &several, &limit, &from))
        return NULL;
    Turn *turns[MOST];
    Py_ssize_t count = PyTuple_Size(several), found;
    PyTypeObject *type = *(PyTypeObject **)PyModule_GetState(module);
    if (count > MOST)
        return PyErr_Format(PyExc_ValueError, "expected at most %d turns, got %zd", MOST, count);
    for (Py_ssize_t at = 0; at < count; at++) {
        turns[at] = (Turn *)PyTuple_GetItem(several, at);
        if (Py_TYPE((PyObject *)turns[at]) != type)
            return PyErr_Format(PyExc_TypeError, "expected a tuple of Turn");
    }
    if (count == 0)
        return PyLong_FromLong(-1);
    from = from > 0 ? from % count : 0;
    found = asking(turns, count, from);
    if (found < 0 && limit > 0)
        LOOK_UNTIL((found = asking(turns, count, from)) >= 0, limit);
    return PyLong_FromSsize_t(found);
}

static PyMethodDef turn_methods[] = {
    {"publish", turn_publish, METH_O, "Show what was written, and wake the other side should it sleep."},
    {"answered", turn_answered, METH_O, "Whether the other side shows what was published last."},
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
    {"first_asking", first_asking, METH_VARARGS, "The place of the first turn whose other side asks, or -1."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_turn", "Turns of a channel.", sizeof(PyObject *), module_methods, module_slots, NULL, NULL,
    module_free,
};

PyMODINIT_FUNC PyInit__turn(void) { return PyModuleDef_Init(&module); }
