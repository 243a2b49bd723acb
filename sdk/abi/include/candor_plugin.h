/*
 * Candor's plugin interface, ABI 0.1: all that a plugin and the server say to each other.
 *
 * This file is the source of truth. The Rust crate beside it (candor-plugin-abi) says the same again, and a test
 * compiles this file and compares every offset. It needs C11 or C++17 and a 64-bit little-endian machine.
 *
 * A plugin is a shared library that exports one object, `candor_module_v1` (see CANDOR_DEFINE_MODULE). The server
 * reads its first bytes from the file, before the library is loaded, and refuses what it does not understand.
 *
 * Rules for everything below
 *  - Structs marked FROZEN never change: they lie in arrays or are embedded. Structs marked OPEN begin with
 *    `struct_size` and may grow at their end. Read a field that is newer than the minor version that you need
 *    only if CANDOR_HAS(pointer, field). Never put an OPEN struct into an array by value.
 *  - Text is UTF-8 as pointer and length. Only what lies in a component's own table ends with NUL.
 *  - Nobody frees the other side's memory. Inputs are borrowed for the call and read-only. Outputs are asked from
 *    the host, which owns them; they are zeroed and aligned to 64 bytes. Inputs are aligned to their element.
 *  - Functions of a plugin return a status and say why with `call->fns->set_error`. No exception and no panic may
 *    leave them: the process ends if one does.
 *
 * Threads
 *  - `init` is called once, before anything else. `create` and `destroy` never overlap with another call on the
 *    same instance. `destroy` joins every thread that the instance started, and nothing calls the host after it.
 *  - The host calls from any thread. `run` is serialised per instance unless the component says
 *    CANDOR_COMPONENT_CONCURRENT. The functions of "candor.fit/1" and "candor.state/1" overlap with no other call on
 *    the instance, ever.
 *  - A `candor_call` belongs to one call: use it on the thread that was called, or on one that is joined before the
 *    call returns, and never on two at a time. `cancel` may be read from any thread during the call.
 *  - A library is never unloaded, so threads and destructors of thread-locals are safe; static data stays for ever.
 *  - The host never calls from a thread that serves other requests, unless the component says
 *    CANDOR_COMPONENT_INLINE: less than 50 microseconds, no blocking, no call of a model.
 */
#ifndef CANDOR_PLUGIN_H
#define CANDOR_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Versions ------------------------------------------------------------------------------------------------- */

#define CANDOR_ABI_MAJOR 0 /* breaks, from 1 on; both sides must have the same */
#define CANDOR_ABI_MINOR 1 /* additions at the end of OPEN structs, and new interfaces */
#define CANDOR_ABI_MINOR_OLDEST 1 /* the oldest minor that this one did not break; breaks are allowed while major is 0 */
#define CANDOR_MAGIC UINT64_C(0x3150524F444E4143) /* "CANDORP1" */

/* --- Status --------------------------------------------------------------------------------------------------- */

typedef int32_t candor_status;
#define CANDOR_OK 0
#define CANDOR_INVALID 1     /* the inputs or the configuration are wrong */
#define CANDOR_UNSUPPORTED 2 /* may be right, and is not done here */
#define CANDOR_NOT_FOUND 3
#define CANDOR_RESOURCE 4 /* out of memory, or over a limit */
#define CANDOR_CANCELLED 5
#define CANDOR_DEADLINE 6
#define CANDOR_UNAVAILABLE 7 /* not now */
#define CANDOR_INTERNAL 8    /* a fault of the plugin; so is every number that is not listed here */
#define CANDOR_PANIC 9       /* a panic or exception was caught; the instance is not used again */

/* --- Values --------------------------------------------------------------------------------------------------- */

typedef struct candor_str { /* FROZEN: UTF-8, no NUL at the end; ptr may be NULL if len is 0 */
  const char *ptr;
  size_t len;
} candor_str;

#define CANDOR_DEVICE_CPU 1
typedef struct candor_device { /* FROZEN: DLPack's numbers. Only CANDOR_DEVICE_CPU occurs in ABI 0 */
  int32_t type;
  int32_t id;
} candor_device;

#define CANDOR_DTYPE_INT 0
#define CANDOR_DTYPE_UINT 1
#define CANDOR_DTYPE_FLOAT 2
#define CANDOR_DTYPE_OPAQUE 3 /* with bits = 128: elements are candor_str, bytes of any kind */
#define CANDOR_DTYPE_BFLOAT 4
#define CANDOR_DTYPE_COMPLEX 5
#define CANDOR_DTYPE_BOOL 6 /* with bits = 8: each byte is 0 or 1 */
typedef struct candor_dtype { /* FROZEN: DLPack's numbers; lanes is 1 */
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
} candor_dtype;

typedef struct candor_tensor { /* FROZEN: DLPack's DLTensor, field for field */
  void *data; /* may be NULL if there are no elements */
  candor_device device;
  int32_t ndim; /* 0 to CANDOR_NDIM_MAX */
  candor_dtype dtype;
  const int64_t *shape;
  const int64_t *strides; /* in elements; never NULL if ndim > 0 */
  uint64_t byte_offset;
} candor_tensor;
#define CANDOR_NDIM_MAX 8

typedef struct candor_value { /* FROZEN: a named tensor */
  candor_str name;
  candor_tensor t;
  uint64_t flags;
  uint64_t reserved;
} candor_value;

/* --- A call --------------------------------------------------------------------------------------------------- */

struct candor_call_fns;

typedef struct candor_call { /* OPEN: made by the host, one per call, valid until the call returns */
  uint32_t struct_size;
  uint32_t flags;
  const struct candor_call_fns *fns;
  const uint32_t *cancel; /* not 0: stop soon and return CANDOR_CANCELLED. Atomic, relaxed. May be NULL */
  uint64_t deadline_ns;   /* on the clock of candor_host.now_ns; 0 if there is none */
  candor_str request_id;
  candor_str params_json; /* parameters of the request, "{}" if there are none */
} candor_call;

typedef struct candor_call_fns { /* OPEN */
  uint32_t struct_size;
  uint32_t reserved;
  /* Memory for an output, in C order. Fails for a name that was asked before. */
  candor_status (*output)(candor_call *call, candor_str name, candor_dtype dtype, int32_t ndim, const int64_t *shape,
                          candor_tensor *out);
  /* An output of strings; everything is copied. */
  candor_status (*output_strings)(candor_call *call, candor_str name, int32_t ndim, const int64_t *shape,
                                  const candor_str *elements);
  /* Why the status that follows is not CANDOR_OK. Copied; the first one of a call counts. */
  void (*set_error)(candor_call *call, candor_status status, candor_str message);
  /* For long work, from 0 to 1. */
  void (*progress)(candor_call *call, double fraction, candor_str note);
  /* Appends bytes to an artifact, such as "model.onnx" or a state. */
  candor_status (*artifact)(candor_call *call, candor_str name, const void *bytes, size_t len);
} candor_call_fns;

/* --- The host ------------------------------------------------------------------------------------------------- */

#define CANDOR_LOG_ERROR 1
#define CANDOR_LOG_WARN 2
#define CANDOR_LOG_INFO 3
#define CANDOR_LOG_DEBUG 4
#define CANDOR_LOG_TRACE 5

#define CANDOR_METRIC_COUNTER 1   /* adds `value`, which is not negative */
#define CANDOR_METRIC_GAUGE 2     /* sets to `value` */
#define CANDOR_METRIC_HISTOGRAM 3 /* observes `value` */

typedef struct candor_host { /* OPEN: lives as long as the process; callable from any thread */
  uint32_t struct_size;
  uint16_t abi_major;
  uint16_t abi_minor;
  void *self;
  void (*log)(void *self, int32_t level, candor_str message);
  void (*metric)(void *self, candor_str name, int32_t type, double value, candor_str labels_json);
  /* A table such as candor_host_predict_v1, or NULL. The same answer for ever. */
  const void *(*get_extension)(void *self, const char *id);
  uint64_t (*now_ns)(void *self); /* a monotonic clock; what deadlines are told on */
} candor_host;

/* "candor.host.predict/1": calls a model. Blocks; may be used during a call that was given `call`, and depth is
   limited. The answer is the host's and lives until that call returns. */
#define CANDOR_HOST_PREDICT_V1 "candor.host.predict/1"
typedef struct candor_host_predict_v1 { /* OPEN */
  uint32_t struct_size;
  uint32_t flags;
  void *self;
  /* An empty `model` means the model that is being explained. */
  candor_status (*predict)(void *self, candor_call *call, candor_str model, const candor_value *in, uint32_t n,
                           const candor_value **out, uint32_t *n_out);
} candor_host_predict_v1;

/* --- What a plugin is ----------------------------------------------------------------------------------------- */

typedef struct candor_instance candor_instance; /* the plugin's own; opaque to the host */

#define CANDOR_COMPONENT_CONCURRENT 1    /* `run` may be called by several threads at once */
#define CANDOR_COMPONENT_DETERMINISTIC 2 /* the same inputs give the same outputs */
#define CANDOR_COMPONENT_MAY_BLOCK 4     /* waits for something else than the processor */
#define CANDOR_COMPONENT_OWNS_THREADS 8  /* starts threads; `destroy` joins them */
#define CANDOR_COMPONENT_INLINE 16       /* less than 50 microseconds, no blocking, no call of a model */

typedef struct candor_component { /* OPEN: static data of the plugin */
  uint32_t struct_size;
  uint32_t flags;
  const char *id;            /* "acme.smote" */
  const char *version;       /* "1.2.0" */
  const char *kinds;         /* one or more, separated by commas: "resampler" */
  const char *config_schema; /* a JSON Schema; the host checks a configuration before `create` */
  candor_status (*create)(const candor_host *host, candor_call *call, candor_str config_json, candor_instance **out);
  void (*destroy)(candor_instance *instance);
  const void *(*get_interface)(const char *id); /* a static table or NULL; the same answer for ever */
} candor_component;

#define CANDOR_MODULE_PANIC_ABORT 1   /* a panic would end the process: refused in the server's own process */
#define CANDOR_MODULE_ISOLATED_ONLY 2 /* must have a process of its own (Go and other runtimes) */

typedef struct candor_module { /* OPEN; the first 24 bytes are FROZEN for ever */
  uint64_t magic;
  uint16_t abi_major;
  uint16_t abi_min_minor;   /* the least minor version that this plugin needs of the host */
  uint16_t abi_built_minor; /* the one of the header that it was built with */
  uint16_t reserved;
  uint32_t struct_size;
  uint32_t flags;
  const char *build_info; /* JSON: sdk, language, compiler, panic strategy */
  candor_status (*init)(const candor_host *host); /* once; may be NULL */
  uint32_t n_components;
  uint32_t reserved2;
  const candor_component *const *components;
} candor_module;

/* --- Interfaces: three shapes of calls, and what a component may add ------------------------------------------- */

#define CANDOR_RUN_V1 "candor.run/1" /* tensors to tensors */
typedef struct candor_run_v1 {       /* OPEN */
  uint32_t struct_size;
  uint32_t flags;
  candor_status (*run)(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n);
} candor_run_v1;

#define CANDOR_FIT_V1 "candor.fit/1" /* batches to a state or to artifacts */
typedef struct candor_fit_v1 {       /* OPEN */
  uint32_t struct_size;
  uint32_t flags;
  candor_status (*begin)(candor_instance *instance, candor_call *call);
  candor_status (*batch)(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n);
  candor_status (*finish)(candor_instance *instance, candor_call *call);
} candor_fit_v1;

typedef struct candor_arm { /* FROZEN */
  candor_str name;
  double weight;
  uint64_t in_flight;
  uint64_t p50_ns;
} candor_arm;

#define CANDOR_ROUTE_V1 "candor.route/1" /* the choice of an arm: no allocation, less than a microsecond */
typedef struct candor_route_v1 {         /* OPEN */
  uint32_t struct_size;
  uint32_t flags;
  candor_status (*choose)(candor_instance *instance, const candor_arm *arms, uint32_t n, uint64_t key,
                          const candor_value *features, uint32_t n_features, uint32_t *out);
  candor_status (*feedback)(candor_instance *instance, uint32_t arm, double reward, uint64_t key);
} candor_route_v1;

#define CANDOR_STATE_V1 "candor.state/1" /* optional: what was fitted, as bytes */
typedef struct candor_state_v1 {         /* OPEN */
  uint32_t struct_size;
  uint32_t flags;
  candor_status (*save)(candor_instance *instance, candor_call *call); /* gives the artifact "state" */
  candor_status (*load)(candor_instance *instance, candor_call *call, const void *bytes, size_t len);
} candor_state_v1;

#define CANDOR_DESCRIBE_V1 "candor.describe/1" /* optional: inputs and outputs for this configuration */
typedef struct candor_describe_v1 {            /* OPEN */
  uint32_t struct_size;
  uint32_t flags;
  candor_status (*describe)(candor_instance *instance, candor_call *call); /* gives the artifact "describe.json" */
} candor_describe_v1;

/* --- Helpers -------------------------------------------------------------------------------------------------- */

/* Whether the other side's OPEN struct has a field. */
#define CANDOR_HAS(pointer, field) \
  ((pointer)->struct_size >= (size_t)((const char *)(&(pointer)->field + 1) - (const char *)(pointer)))

/* A string literal as candor_str. */
#ifdef __cplusplus
#define CANDOR_STR(literal) (candor_str{(literal), sizeof(literal) - 1})
#define CANDOR_EXTERN_C extern "C"
#else
#define CANDOR_STR(literal) ((candor_str){(literal), sizeof(literal) - 1})
#define CANDOR_EXTERN_C extern
#endif

#if defined(__GNUC__) || defined(__clang__)
#define CANDOR_EXPORT __attribute__((visibility("default")))
#else
#define CANDOR_EXPORT
#endif

#define CANDOR_MODULE_SYMBOL "candor_module_v1"

/* Defines the one exported object, with external linkage in C and in C++:
     static const candor_component *const components[] = {&scale};
     CANDOR_DEFINE_MODULE(0, "{\"language\":\"c\"}", NULL, components); */
#define CANDOR_DEFINE_MODULE(module_flags, info, init_function, component_array)                       \
  CANDOR_EXTERN_C CANDOR_EXPORT const candor_module candor_module_v1;                                  \
  const candor_module candor_module_v1 = {CANDOR_MAGIC,                                                \
                                          CANDOR_ABI_MAJOR,                                            \
                                          CANDOR_ABI_MINOR,                                            \
                                          CANDOR_ABI_MINOR,                                            \
                                          0,                                                           \
                                          (uint32_t)sizeof(candor_module),                             \
                                          (module_flags),                                              \
                                          (info),                                                      \
                                          (init_function),                                             \
                                          (uint32_t)(sizeof(component_array) / sizeof(component_array[0])), \
                                          0,                                                           \
                                          (component_array)}

/* --- The layout, asserted -------------------------------------------------------------------------------------- */

#ifdef __cplusplus
#define CANDOR_ASSERT(condition) static_assert(condition, #condition)
#else
#define CANDOR_ASSERT(condition) _Static_assert(condition, #condition)
#endif
#define CANDOR_SIZE(type, size) CANDOR_ASSERT(sizeof(type) == (size))
#define CANDOR_AT(type, field, offset) CANDOR_ASSERT(offsetof(type, field) == (offset))

CANDOR_SIZE(void *, 8);
CANDOR_SIZE(void (*)(void), 8);

CANDOR_SIZE(candor_str, 16);
CANDOR_AT(candor_str, ptr, 0);
CANDOR_AT(candor_str, len, 8);

CANDOR_SIZE(candor_device, 8);
CANDOR_AT(candor_device, type, 0);
CANDOR_AT(candor_device, id, 4);

CANDOR_SIZE(candor_dtype, 4);
CANDOR_AT(candor_dtype, code, 0);
CANDOR_AT(candor_dtype, bits, 1);
CANDOR_AT(candor_dtype, lanes, 2);

CANDOR_SIZE(candor_tensor, 48);
CANDOR_AT(candor_tensor, data, 0);
CANDOR_AT(candor_tensor, device, 8);
CANDOR_AT(candor_tensor, ndim, 16);
CANDOR_AT(candor_tensor, dtype, 20);
CANDOR_AT(candor_tensor, shape, 24);
CANDOR_AT(candor_tensor, strides, 32);
CANDOR_AT(candor_tensor, byte_offset, 40);

CANDOR_SIZE(candor_value, 80);
CANDOR_AT(candor_value, name, 0);
CANDOR_AT(candor_value, t, 16);
CANDOR_AT(candor_value, flags, 64);
CANDOR_AT(candor_value, reserved, 72);

CANDOR_SIZE(candor_call, 64);
CANDOR_AT(candor_call, struct_size, 0);
CANDOR_AT(candor_call, flags, 4);
CANDOR_AT(candor_call, fns, 8);
CANDOR_AT(candor_call, cancel, 16);
CANDOR_AT(candor_call, deadline_ns, 24);
CANDOR_AT(candor_call, request_id, 32);
CANDOR_AT(candor_call, params_json, 48);

CANDOR_SIZE(candor_call_fns, 48);
CANDOR_AT(candor_call_fns, struct_size, 0);
CANDOR_AT(candor_call_fns, reserved, 4);
CANDOR_AT(candor_call_fns, output, 8);
CANDOR_AT(candor_call_fns, output_strings, 16);
CANDOR_AT(candor_call_fns, set_error, 24);
CANDOR_AT(candor_call_fns, progress, 32);
CANDOR_AT(candor_call_fns, artifact, 40);

CANDOR_SIZE(candor_host, 48);
CANDOR_AT(candor_host, struct_size, 0);
CANDOR_AT(candor_host, abi_major, 4);
CANDOR_AT(candor_host, abi_minor, 6);
CANDOR_AT(candor_host, self, 8);
CANDOR_AT(candor_host, log, 16);
CANDOR_AT(candor_host, metric, 24);
CANDOR_AT(candor_host, get_extension, 32);
CANDOR_AT(candor_host, now_ns, 40);

CANDOR_SIZE(candor_host_predict_v1, 24);
CANDOR_AT(candor_host_predict_v1, struct_size, 0);
CANDOR_AT(candor_host_predict_v1, flags, 4);
CANDOR_AT(candor_host_predict_v1, self, 8);
CANDOR_AT(candor_host_predict_v1, predict, 16);

CANDOR_SIZE(candor_component, 64);
CANDOR_AT(candor_component, struct_size, 0);
CANDOR_AT(candor_component, flags, 4);
CANDOR_AT(candor_component, id, 8);
CANDOR_AT(candor_component, version, 16);
CANDOR_AT(candor_component, kinds, 24);
CANDOR_AT(candor_component, config_schema, 32);
CANDOR_AT(candor_component, create, 40);
CANDOR_AT(candor_component, destroy, 48);
CANDOR_AT(candor_component, get_interface, 56);

CANDOR_SIZE(candor_module, 56);
CANDOR_AT(candor_module, magic, 0);
CANDOR_AT(candor_module, abi_major, 8);
CANDOR_AT(candor_module, abi_min_minor, 10);
CANDOR_AT(candor_module, abi_built_minor, 12);
CANDOR_AT(candor_module, reserved, 14);
CANDOR_AT(candor_module, struct_size, 16);
CANDOR_AT(candor_module, flags, 20);
CANDOR_AT(candor_module, build_info, 24);
CANDOR_AT(candor_module, init, 32);
CANDOR_AT(candor_module, n_components, 40);
CANDOR_AT(candor_module, reserved2, 44);
CANDOR_AT(candor_module, components, 48);

CANDOR_SIZE(candor_run_v1, 16);
CANDOR_AT(candor_run_v1, struct_size, 0);
CANDOR_AT(candor_run_v1, flags, 4);
CANDOR_AT(candor_run_v1, run, 8);

CANDOR_SIZE(candor_fit_v1, 32);
CANDOR_AT(candor_fit_v1, struct_size, 0);
CANDOR_AT(candor_fit_v1, flags, 4);
CANDOR_AT(candor_fit_v1, begin, 8);
CANDOR_AT(candor_fit_v1, batch, 16);
CANDOR_AT(candor_fit_v1, finish, 24);

CANDOR_SIZE(candor_arm, 40);
CANDOR_AT(candor_arm, name, 0);
CANDOR_AT(candor_arm, weight, 16);
CANDOR_AT(candor_arm, in_flight, 24);
CANDOR_AT(candor_arm, p50_ns, 32);

CANDOR_SIZE(candor_route_v1, 24);
CANDOR_AT(candor_route_v1, struct_size, 0);
CANDOR_AT(candor_route_v1, flags, 4);
CANDOR_AT(candor_route_v1, choose, 8);
CANDOR_AT(candor_route_v1, feedback, 16);

CANDOR_SIZE(candor_state_v1, 24);
CANDOR_AT(candor_state_v1, struct_size, 0);
CANDOR_AT(candor_state_v1, flags, 4);
CANDOR_AT(candor_state_v1, save, 8);
CANDOR_AT(candor_state_v1, load, 16);

CANDOR_SIZE(candor_describe_v1, 16);
CANDOR_AT(candor_describe_v1, struct_size, 0);
CANDOR_AT(candor_describe_v1, flags, 4);
CANDOR_AT(candor_describe_v1, describe, 8);

#ifdef __cplusplus
} /* extern "C" */

/* A guard for C++: no exception leaves `work`.
     return candor_guard(call, [&] { ...; return CANDOR_OK; }); */
#include <exception>
#include <cstring>
template <class Work> candor_status candor_guard(candor_call *call, Work &&work) noexcept {
  try {
    return work();
  } catch (const std::exception &caught) {
    candor_str message = {caught.what(), std::strlen(caught.what())};
    if (call) call->fns->set_error(call, CANDOR_PANIC, message);
  } catch (...) {
    if (call) call->fns->set_error(call, CANDOR_PANIC, CANDOR_STR("an exception that is no std::exception"));
  }
  return CANDOR_PANIC;
}
#endif

#endif /* CANDOR_PLUGIN_H */
