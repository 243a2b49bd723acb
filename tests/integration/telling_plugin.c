/* A predictor that multiplies by the `factor` of a file of its model's folder, and tells numbers of each call. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "candor_plugin.h"

struct candor_instance {
  float factor;
};

static const candor_host *the_host;

static void tell(const char *name, int32_t type, double value, const char *labels) {
  candor_str called = {name, strlen(name)}, labelled = {labels, strlen(labels)};
  the_host->metric(the_host->self, called, type, value, labelled);
}

static candor_status create(const candor_host *host, candor_call *call, candor_str config, candor_instance **out) {
  char text[4096] = {0};
  if (config.len >= sizeof text) return CANDOR_RESOURCE;
  memcpy(text, config.ptr, config.len);
  const char *factor = strstr(text, "\"factor\":");
  if (!factor) {
    if (CANDOR_HAS(call->fns, set_error)) call->fns->set_error(call, CANDOR_INVALID, CANDOR_STR("no factor"));
    return CANDOR_INVALID;
  }
  the_host = host;
  candor_instance *instance = calloc(1, sizeof *instance);
  instance->factor = strtof(factor + 9, NULL);
  *out = instance;
  return CANDOR_OK;
}

static void destroy(candor_instance *instance) { free(instance); }

static candor_status run(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n) {
  if (n != 1 || in[0].t.ndim != 2) return CANDOR_INVALID;
  const candor_tensor *x = &in[0].t;
  candor_dtype f32 = {CANDOR_DTYPE_FLOAT, 32, 1};
  candor_tensor y;
  candor_status status = call->fns->output(call, CANDOR_STR("y"), f32, 2, x->shape, &y);
  if (status != CANDOR_OK) return status;
  const float *from = (const float *)((const char *)x->data + x->byte_offset);
  float *to = (float *)y.data;
  for (int64_t at = 0; at < x->shape[0] * x->shape[1]; at++) to[at] = from[at] * instance->factor;
  tell("rows", CANDOR_METRIC_COUNTER, (double)x->shape[0], "{}");
  tell("rows_by_side", CANDOR_METRIC_COUNTER, (double)x->shape[0], "{\"side\": \"left\"}");
  tell("size", CANDOR_METRIC_HISTOGRAM, (double)x->shape[1], "{}");
  tell("first", CANDOR_METRIC_GAUGE, to[0], "{}"); /* the last of a call, so that who sees it sees the others */
  if (from[0] == -12345) { /* what no series takes */
    tell("first", CANDOR_METRIC_GAUGE, NAN, "{}");
    tell("rows", CANDOR_METRIC_COUNTER, -1, "{}");
    tell("a\"} 1\nother", CANDOR_METRIC_GAUGE, 1, "{}");
    tell("rows", CANDOR_METRIC_COUNTER, 1, "{\"plugin\": \"other\"}");
    for (int number = 0; number < 200; number++) {
      char name[16];
      snprintf(name, sizeof name, "n%d", number);
      tell(name, CANDOR_METRIC_GAUGE, 1, "{}");
    }
  }
  return CANDOR_OK;
}

static candor_status describe(candor_instance *instance, candor_call *call) {
  (void)instance;
  const char json[] = "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,-1]}],"
                      "\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[-1,-1]}]}";
  return call->fns->artifact(call, CANDOR_STR("describe.json"), json, sizeof json - 1);
}

static const candor_run_v1 run_v1 = {sizeof(candor_run_v1), 0, run};
static const candor_describe_v1 describe_v1 = {sizeof(candor_describe_v1), 0, describe};

static const void *get_interface(const char *id) {
  if (strcmp(id, CANDOR_RUN_V1) == 0) return &run_v1;
  return strcmp(id, CANDOR_DESCRIBE_V1) == 0 ? &describe_v1 : NULL;
}

static const candor_component component = {sizeof(candor_component),
                                           CANDOR_COMPONENT_CONCURRENT,
                                           "test.telling",
                                           "0.1.0",
                                           "predictor",
                                           "{\"type\":\"object\",\"properties\":{\"of\":{\"x-candor-file\":\"json\"}}}",
                                           create,
                                           destroy,
                                           get_interface};
static const candor_component *const components[] = {&component};
extern CANDOR_EXPORT const candor_module candor_module_v1;
const candor_module candor_module_v1 = {CANDOR_MAGIC, CANDOR_ABI_MAJOR, CANDOR_ABI_MINOR, CANDOR_ABI_MINOR, 0,
                                        sizeof(candor_module), 0, "{}", NULL, 1, 0, components};
