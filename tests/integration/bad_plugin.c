/* A plugin that is right, with a switch for everything that `candor plugin check` looks for. Compiled with -D. */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "candor_plugin.h"

#ifndef SYMBOL
#define SYMBOL candor_module_v1
#endif
#ifndef KIND
#define KIND "predictor"
#endif

struct candor_instance {
  float factor;
  float shared;
};

static unsigned long long calls;
#ifdef LEAKS
static char *volatile lost; /* or the compiler would do without it */
#endif
static const candor_host *the_host;

#ifdef EXPORTS
CANDOR_EXPORT int helper(void) { return 1; }
#endif

static candor_status fail(candor_call *call, candor_status status, const char *why) {
  candor_str message = {why, strlen(why)};
  if (CANDOR_HAS(call->fns, set_error)) call->fns->set_error(call, status, message);
  return status;
}

#ifdef LEAVES_THREAD
static void *forever(void *nothing) {
  for (;;) sleep(1000);
  return nothing;
}
#endif

static candor_status create(const candor_host *host, candor_call *call, candor_str config, candor_instance **out) {
  (void)call;
  the_host = host;
#ifdef DIES_OF_CONFIG
  if (config.len == 0 || config.ptr[0] != '{') abort();
#endif
  candor_instance *instance = calloc(1, sizeof *instance);
  instance->factor = config.len > 3 ? 2 : 1;
#ifdef LEAKS
  lost = malloc(256);
  memset(lost, 1, 256);
#endif
#ifdef LEAVES_THREAD
  pthread_t thread;
  pthread_create(&thread, NULL, forever, NULL);
#endif
  *out = instance;
  return CANDOR_OK;
}

static void destroy(candor_instance *instance) { free(instance); }

static candor_status run(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n) {
#ifdef TRUSTS_NAME
  in = n == 0 ? NULL : in;
#else
  if (n != 1 || in[0].name.len != 1 || in[0].name.ptr[0] != 'x') return fail(call, CANDOR_INVALID, "expected x");
#endif
  const candor_tensor *x = &in[0].t;
#ifndef TRUSTS_TYPE
  if (x->dtype.code != CANDOR_DTYPE_FLOAT || x->dtype.bits != 32) return fail(call, CANDOR_INVALID, "expected float32");
#endif
#ifdef NEEDS_RANK
  if (x->ndim == 0) abort();
#endif
#ifdef READS_TAIL /* what a header of the future would have there: a pointer to a flag */
  if (call->struct_size > sizeof *call) *(volatile int *)*(void **)((char *)call + sizeof *call) = 1;
#endif
  int64_t count = 1;
  for (int32_t dim = 0; dim < x->ndim; dim++) count *= x->shape[dim];
#ifdef DIVIDES_BY_ROWS
  volatile int64_t rows = x->ndim ? x->shape[0] : 1;
  volatile int64_t per_row = 12 / rows;
  (void)per_row;
#endif
#ifdef REFUSES_NO_ROWS
  if (x->ndim && x->shape[0] == 0) return CANDOR_INVALID;
#endif
  int64_t shape[8];
  for (int32_t dim = 0; dim < x->ndim && dim < 8; dim++) shape[dim] = x->shape[dim];
#ifdef LOSES_ROWS
  if (x->ndim && shape[0] > 1) shape[0]--;
#endif
  candor_dtype f32 = {CANDOR_DTYPE_FLOAT, 32, 1};
  candor_tensor y;
  candor_status status = call->fns->output(call, CANDOR_STR("y"), f32, x->ndim, shape, &y);
  if (status != CANDOR_OK) return status;
  float *from = (float *)((char *)x->data + x->byte_offset), *to = (float *)y.data;
  int64_t given = 1;
  for (int32_t dim = 0; dim < x->ndim; dim++) given *= shape[dim];
  for (int64_t at = 0; at < given; at++) {
    int64_t offset = 0, left = at;
    for (int32_t dim = x->ndim - 1; dim >= 0; dim--) {
      offset += left % x->shape[dim] * x->strides[dim];
      left /= x->shape[dim];
    }
#ifdef IGNORES_STEPS
    offset = at;
#endif
    float value = from[offset];
#ifdef ABORTS_AT_NAN
    if (isnan(value)) abort();
#endif
#ifdef RACES
    instance->shared = value;
    sched_yield();
    value = instance->shared;
#endif
    to[at] = value * instance->factor;
  }
  volatile float sink = 0;
  (void)sink;
#ifdef READS_BEHIND
  if (count) sink = from[count];
#endif
#ifdef READS_BEFORE
  if (count) sink = from[-1];
#endif
#ifdef WRITES_INPUT
  if (count) from[0] = 0;
#endif
#ifdef WRITES_BEHIND
  if (count) to[given] = 1;
#endif
#ifdef WRITES_FAR_BEHIND
  if (count) to[given + 64] = 1;
#endif
#ifdef GUESSES
  if (count) to[0] = (float)++calls;
#endif
  (void)calls, (void)count;
  return CANDOR_OK;
}

static const candor_run_v1 run_v1 = {sizeof(candor_run_v1), 0, run};

static candor_status describe(candor_instance *instance, candor_call *call) {
  (void)instance;
  const char json[] = "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,-1]}],"
                      "\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[-1,-1]}]}";
  if (!CANDOR_HAS(call->fns, artifact)) return CANDOR_UNSUPPORTED;
  return call->fns->artifact(call, CANDOR_STR("describe.json"), json, sizeof json - 1);
}

static const candor_describe_v1 describe_v1 = {sizeof(candor_describe_v1), 0, describe};

static const void *get_interface(const char *id) {
  if (strcmp(id, CANDOR_RUN_V1) == 0) return &run_v1;
  return strcmp(id, CANDOR_DESCRIBE_V1) == 0 ? &describe_v1 : NULL;
}

#if defined(BAD_SCHEMA)
#define SCHEMA "{\"type\":7}"
#elif defined(BAD_EXAMPLE)
#define SCHEMA "{\"required\":[\"a\"],\"examples\":[{\"b\":1}]}"
#else
#define SCHEMA "{\"type\":\"object\",\"examples\":[{\"a\":1}]}"
#endif

static const candor_component component = {sizeof(candor_component),
                                           CANDOR_COMPONENT_CONCURRENT | CANDOR_COMPONENT_DETERMINISTIC,
                                           "test.bad",
                                           "0.1.0",
                                           KIND,
                                           SCHEMA,
                                           create,
                                           destroy,
                                           get_interface};
static const candor_component *const components[] = {&component};
extern CANDOR_EXPORT const candor_module SYMBOL;
const candor_module SYMBOL = {CANDOR_MAGIC, CANDOR_ABI_MAJOR, CANDOR_ABI_MINOR, CANDOR_ABI_MINOR, 0,
                              sizeof(candor_module), 0, "{}", NULL, 1, 0, components};
