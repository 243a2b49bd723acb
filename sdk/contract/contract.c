/* The plugin of the matrix, in C and in C++: one answer for each thing that the interface has. src/lib.rs is the same in
   Rust. Whatever a host may lack is looked for first. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "candor_plugin.h"

#ifdef __cplusplus
#include <stdexcept>
#endif

#ifdef TRUSTS_HOST /* as if every host had everything: what the oldest host is there to find */
#undef CANDOR_HAS
#define CANDOR_HAS(pointer, field) ((void)(pointer), 1)
#endif

struct candor_instance {
  const candor_host *host;
  float factor;
};

static candor_status fail(candor_call *call, candor_status status, const char *why) {
  candor_str message = {why, strlen(why)};
  if (CANDOR_HAS(call->fns, set_error)) call->fns->set_error(call, status, message);
  return status;
}

static candor_status create(const candor_host *host, candor_call *call, candor_str config, candor_instance **out) {
  char text[256] = {0};
  if (config.len >= sizeof text) return fail(call, CANDOR_INVALID, "the configuration is too long");
  if (config.len) memcpy(text, config.ptr, config.len);
  const char *colon = strchr(text, ':');
  float factor = colon ? strtof(colon + 1, NULL) : 0.0f;
  if (factor == 0.0f) return fail(call, CANDOR_INVALID, "`factor` is 0");
  candor_instance *instance = (candor_instance *)calloc(1, sizeof *instance);
  if (!instance) return fail(call, CANDOR_RESOURCE, "out of memory");
  instance->host = host;
  instance->factor = factor;
  if (CANDOR_HAS(host, log)) host->log(host->self, CANDOR_LOG_INFO, CANDOR_STR("contract: made"));
  *out = instance;
  return CANDOR_OK;
}

static void destroy(candor_instance *instance) { free(instance); }

static const candor_value *find(const candor_value *in, uint32_t n, const char *name) {
  for (uint32_t at = 0; at < n; at++)
    if (in[at].name.len == strlen(name) && memcmp(in[at].name.ptr, name, in[at].name.len) == 0) return &in[at];
  return NULL;
}

static int64_t elements(const candor_tensor *t) {
  int64_t count = 1;
  for (int32_t dim = 0; dim < t->ndim; dim++) count *= t->shape[dim];
  return count;
}

static float element(const candor_tensor *t, int64_t at) {
  int64_t offset = 0;
  for (int32_t dim = t->ndim - 1; dim >= 0; dim--) {
    offset += at % t->shape[dim] * t->strides[dim];
    at /= t->shape[dim];
  }
  return ((const float *)((const char *)t->data + t->byte_offset))[offset];
}

static candor_status numbers(candor_call *call, const char *name, size_t len, int64_t count, candor_tensor *out) {
  candor_dtype i64 = {CANDOR_DTYPE_INT, 64, 1};
  candor_str text = {name, len};
  return call->fns->output(call, text, i64, 1, &count, out);
}

static candor_status scale(candor_instance *instance, candor_call *call, const candor_tensor *x) {
  if (x->dtype.code != CANDOR_DTYPE_FLOAT || x->dtype.bits != 32) return fail(call, CANDOR_INVALID, "expected float32");
  candor_tensor y, rank;
  candor_status status = call->fns->output(call, CANDOR_STR("y"), x->dtype, x->ndim, x->shape, &y);
  if (status != CANDOR_OK) return status;
  float *to = (float *)((char *)y.data + y.byte_offset);
  for (int64_t at = 0, count = elements(x); at < count; at++) to[at] = element(x, at) * instance->factor;
  status = numbers(call, "rank", 4, 1, &rank);
  if (status != CANDOR_OK) return status;
  *(int64_t *)((char *)rank.data + rank.byte_offset) = x->ndim;
  if (CANDOR_HAS(call->fns, progress)) call->fns->progress(call, 0.5, CANDOR_STR("half"));
  return CANDOR_OK;
}

static candor_status seen(candor_instance *instance, candor_call *call) {
  const candor_host *host = instance->host;
  candor_tensor out;
  candor_status status = numbers(call, "seen", 4, 3, &out);
  if (status != CANDOR_OK) return status;
  int64_t *to = (int64_t *)((char *)out.data + out.byte_offset);
  to[0] = CANDOR_HAS(host, now_ns) && host->now_ns(host->self) != 0;
  to[1] = CANDOR_HAS(call, request_id) && call->request_id.len > 0;
  to[2] = CANDOR_HAS(call->fns, artifact) && call->fns->artifact(call, CANDOR_STR("seen"), "bytes", 5) == CANDOR_OK;
  return CANDOR_OK;
}

static candor_status waits(candor_call *call) {
  const struct timespec millisecond = {0, 1000000};
  for (int at = 0; at < 10000; at++) {
    if (CANDOR_HAS(call, cancel) && call->cancel && *(volatile const uint32_t *)call->cancel)
      return fail(call, CANDOR_CANCELLED, "nobody waits");
    nanosleep(&millisecond, NULL);
  }
  return CANDOR_OK;
}

static candor_status work(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n) {
  const candor_value *found = find(in, n, "x");
  if (found) return scale(instance, call, &found->t);
  found = find(in, n, "words");
  if (found) {
    const candor_str *texts = (const candor_str *)((const char *)found->t.data + found->t.byte_offset);
    return call->fns->output_strings(call, CANDOR_STR("words"), found->t.ndim, found->t.shape, texts);
  }
  if (find(in, n, "seen")) return seen(instance, call);
  if (find(in, n, "wait")) return waits(call);
#ifdef __cplusplus
  if (find(in, n, "panic")) throw std::runtime_error("as asked");
#else
  if (find(in, n, "panic")) return fail(call, CANDOR_PANIC, "as asked");
#endif
  return fail(call, CANDOR_INVALID, "expected x, words, seen, wait or panic");
}

static candor_status run(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n) {
#ifdef __cplusplus
  return candor_guard(call, [&] { return work(instance, call, in, n); });
#else
  return work(instance, call, in, n);
#endif
}

static candor_status describe(candor_instance *instance, candor_call *call) {
  static const char json[] = "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,-1]}],"
                             "\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[-1,-1]}]}";
  (void)instance;
  if (!CANDOR_HAS(call->fns, artifact)) return CANDOR_UNSUPPORTED;
  return call->fns->artifact(call, CANDOR_STR("describe.json"), json, sizeof json - 1);
}

static const candor_run_v1 run_v1 = {sizeof(candor_run_v1), 0, run};
static const candor_describe_v1 describe_v1 = {sizeof(candor_describe_v1), 0, describe};

static const void *get_interface(const char *id) {
  if (strcmp(id, CANDOR_RUN_V1) == 0) return &run_v1;
  return strcmp(id, CANDOR_DESCRIBE_V1) == 0 ? &describe_v1 : NULL;
}

static const candor_component contract = {
    sizeof(candor_component),
    CANDOR_COMPONENT_CONCURRENT | CANDOR_COMPONENT_DETERMINISTIC,
    "test.contract",
    "0.1.0",
    "predictor",
    "{\"type\":\"object\",\"properties\":{\"factor\":{\"type\":\"number\"}},\"required\":[\"factor\"]}",
    create,
    destroy,
    get_interface,
};

static const candor_component *const components[] = {&contract};
CANDOR_DEFINE_MODULE(0, "{\"language\":\"c\"}", NULL, components);
