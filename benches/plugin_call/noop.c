/* The plugin that does nothing, for the benchmark: reads the first number and gives it back. */
#include <string.h>

#include "candor_plugin.h"

struct candor_instance {
  int nothing;
};
static candor_instance only;

static candor_status create(const candor_host *host, candor_call *call, candor_str config, candor_instance **out) {
  (void)host, (void)call, (void)config;
  *out = &only;
  return CANDOR_OK;
}
static void destroy(candor_instance *instance) { (void)instance; }

static candor_status run(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n) {
  (void)instance;
  if (n != 1) return CANDOR_INVALID;
  int64_t one = 1;
  candor_tensor y;
  candor_status status = call->fns->output(call, CANDOR_STR("y"), in[0].t.dtype, 1, &one, &y);
  if (status == CANDOR_OK) *(float *)y.data = *(const float *)((const char *)in[0].t.data + in[0].t.byte_offset);
  return status;
}

static const candor_run_v1 run_v1 = {sizeof(candor_run_v1), 0, run};
static const void *get_interface(const char *id) { return strcmp(id, CANDOR_RUN_V1) == 0 ? &run_v1 : NULL; }
static const candor_component noop = {sizeof(candor_component), CANDOR_COMPONENT_CONCURRENT, "bench.noop_c", "0.1.0",
                                      "predictor", "{}", create, destroy, get_interface};
static const candor_component *const components[] = {&noop};
CANDOR_DEFINE_MODULE(0, "{\"language\":\"c\"}", NULL, components);
