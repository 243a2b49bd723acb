/* A plugin in plain C: y = factor * x. `make` builds it; README.md says the rest. */
#include <stdlib.h>
#include <string.h>

#include "candor_plugin.h"

struct candor_instance {
  float factor;
};

static candor_status fail(candor_call *call, candor_status status, const char *why) {
  candor_str message = {why, strlen(why)};
  call->fns->set_error(call, status, message);
  return status;
}

/* The host has checked the configuration against the schema: {"factor": <number>}. */
static candor_status create(const candor_host *host, candor_call *call, candor_str config, candor_instance **out) {
  (void)host;
  candor_instance *instance = malloc(sizeof *instance);
  if (!instance) return fail(call, CANDOR_RESOURCE, "out of memory");
  instance->factor = 1.0f;
  for (size_t at = 0; at + 1 < config.len; at++) {
    if (config.ptr[at] == ':') {
      char number[64] = {0};
      size_t len = config.len - at - 1;
      memcpy(number, config.ptr + at + 1, len < sizeof number ? len : sizeof number - 1);
      instance->factor = strtof(number, NULL);
    }
  }
  *out = instance;
  return CANDOR_OK;
}

static void destroy(candor_instance *instance) { free(instance); }

static candor_status run(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n) {
  if (n != 1) return fail(call, CANDOR_INVALID, "expected one input");
  const candor_tensor *x = &in[0].t;
  if (x->dtype.code != CANDOR_DTYPE_FLOAT || x->dtype.bits != 32) return fail(call, CANDOR_INVALID, "expected float32");

  int64_t elements = 1, step = 1;
  for (int32_t dim = x->ndim - 1; dim >= 0; dim--) elements *= x->shape[dim];
  /* What has no elements has no order. */
  for (int32_t dim = x->ndim - 1; dim >= 0 && elements > 0; dim--) {
    if (x->shape[dim] > 1 && x->strides[dim] != step) return fail(call, CANDOR_UNSUPPORTED, "expected C order");
    step *= x->shape[dim];
  }
  candor_tensor y;
  candor_status status = call->fns->output(call, CANDOR_STR("y"), x->dtype, x->ndim, x->shape, &y);
  if (status != CANDOR_OK) return status;

  const float *from = (const float *)((const char *)x->data + x->byte_offset);
  float *to = (float *)((char *)y.data + y.byte_offset);
  for (int64_t at = 0; at < elements; at++) {
    if (at % 65536 == 0 && call->cancel && *call->cancel) return fail(call, CANDOR_CANCELLED, "cancelled");
    to[at] = from[at] * instance->factor;
  }
  return CANDOR_OK;
}

static const candor_run_v1 run_v1 = {sizeof(candor_run_v1), 0, run};

static const void *get_interface(const char *id) { return strcmp(id, CANDOR_RUN_V1) == 0 ? &run_v1 : NULL; }

static const candor_component scale = {
    .struct_size = sizeof(candor_component),
    .flags = CANDOR_COMPONENT_CONCURRENT | CANDOR_COMPONENT_DETERMINISTIC,
    .id = "example.c_scale",
    .version = "0.1.0",
    .kinds = "transform",
    .config_schema = "{\"type\":\"object\",\"properties\":{\"factor\":{\"type\":\"number\"}},"
                     "\"additionalProperties\":false}",
    .create = create,
    .destroy = destroy,
    .get_interface = get_interface,
};

static const candor_component *const components[] = {&scale};
CANDOR_DEFINE_MODULE(0, "{\"language\":\"c\"}", NULL, components);
