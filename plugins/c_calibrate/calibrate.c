/* candor.softmax: scores to probabilities, with a temperature; candor.top_k: the largest numbers of each row and where
   they stand. In plain C; `make` builds it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "candor_plugin.h"

struct candor_instance {
  double temperature;
  int64_t k;
};

static candor_status fail(candor_call *call, candor_status status, const char *why) {
  candor_str message = {why, strlen(why)};
  call->fns->set_error(call, status, message);
  return status;
}

/* The number of a key in a flat object. The host has checked the text against the schema, so that it is an object of
   numbers; whatever else came is passed over. */
static int number_of(candor_str config, const char *key, double *number) {
  size_t length = strlen(key);
  for (size_t at = 0; at + length + 2 < config.len; at++) {
    if (config.ptr[at] != '"' || memcmp(config.ptr + at + 1, key, length) != 0 || config.ptr[at + 1 + length] != '"')
      continue;
    at += length + 2;
    while (at < config.len && strchr(" \t\r\n:", config.ptr[at])) at++;
    char text[64] = {0}, *end = text;
    size_t rest = config.len - at;
    memcpy(text, config.ptr + at, rest < sizeof text ? rest : sizeof text - 1);
    *number = strtod(text, &end);
    return end != text;
  }
  return 0;
}

static candor_status made(candor_call *call, double temperature, double k, candor_instance **out) {
  candor_instance *instance = malloc(sizeof *instance);
  if (!instance) return fail(call, CANDOR_RESOURCE, "out of memory");
  instance->temperature = temperature;
  instance->k = (int64_t)k;
  *out = instance;
  return CANDOR_OK;
}

static candor_status create_softmax(const candor_host *host, candor_call *call, candor_str config,
                                    candor_instance **out) {
  double temperature = 1.0;
  (void)host;
  number_of(config, "temperature", &temperature);
  if (!(temperature > 0.0) || !isfinite(temperature))
    return fail(call, CANDOR_INVALID, "`temperature` must be a finite number above 0");
  return made(call, temperature, 0, out);
}

static candor_status create_top_k(const candor_host *host, candor_call *call, candor_str config,
                                  candor_instance **out) {
  double k = 0.0;
  (void)host;
  if (!number_of(config, "k", &k) || !(k >= 1.0) || !(k <= 65536.0))
    return fail(call, CANDOR_INVALID, "`k` must be a number from 1 to 65536");
  return made(call, 1.0, k, out);
}

static void destroy(candor_instance *instance) { free(instance); }

/* Rows of an input: all dimensions but the last one together, and the last one. */
struct rows {
  const candor_tensor *x;
  int64_t rows, columns;
  int wide; /* double precision */
};

static candor_status rows_of(candor_call *call, const candor_value *in, uint32_t n, struct rows *out) {
  if (n != 1) return fail(call, CANDOR_INVALID, "expected one input");
  const candor_tensor *x = &in[0].t;
  int is_float = x->dtype.code == CANDOR_DTYPE_FLOAT && x->dtype.lanes == 1;
  if (!is_float || (x->dtype.bits != 32 && x->dtype.bits != 64))
    return fail(call, CANDOR_INVALID, "expected elements of the type FP32 or FP64");
  if (x->ndim < 1) return fail(call, CANDOR_INVALID, "expected one dimension at least");
  int64_t elements = 1, step = 1;
  for (int32_t dim = x->ndim - 1; dim >= 0; dim--) elements *= x->shape[dim];
  /* What has no elements has no order. */
  for (int32_t dim = x->ndim - 1; dim >= 0 && elements > 0; dim--) {
    if (x->shape[dim] > 1 && x->strides[dim] != step) return fail(call, CANDOR_UNSUPPORTED, "expected C order");
    step *= x->shape[dim];
  }
  out->x = x;
  out->columns = x->shape[x->ndim - 1];
  out->rows = out->columns ? elements / out->columns : 0;
  out->wide = x->dtype.bits == 64;
  return CANDOR_OK;
}

static double get(const struct rows *rows, int64_t at) {
  const char *start = (const char *)rows->x->data + rows->x->byte_offset;
  return rows->wide ? ((const double *)start)[at] : (double)((const float *)start)[at];
}

static void set(const candor_tensor *to, int wide, int64_t at, double number) {
  char *start = (char *)to->data + to->byte_offset;
  if (wide)
    ((double *)start)[at] = number;
  else
    ((float *)start)[at] = (float)number;
}

static int cancelled(const candor_call *call) { return call->cancel && *(volatile const uint32_t *)call->cancel; }

static candor_status not_a_number(candor_call *call, int64_t row) {
  char why[80];
  snprintf(why, sizeof why, "row %lld has what is no finite number", (long long)row);
  return fail(call, CANDOR_INVALID, why);
}

static candor_status run_softmax(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n) {
  struct rows rows;
  candor_status status = rows_of(call, in, n, &rows);
  if (status != CANDOR_OK) return status;
  candor_tensor y;
  const candor_tensor *x = rows.x;
  status = call->fns->output(call, CANDOR_STR("probabilities"), x->dtype, x->ndim, x->shape, &y);
  if (status != CANDOR_OK) return status;

  for (int64_t row = 0; row < rows.rows; row++) {
    if (row % 1024 == 0 && cancelled(call)) return fail(call, CANDOR_CANCELLED, "cancelled");
    int64_t first = row * rows.columns;
    double top = -INFINITY, sum = 0.0;
    for (int64_t at = first; at < first + rows.columns; at++) {
      double score = get(&rows, at);
      if (!isfinite(score)) return not_a_number(call, row);
      top = score > top ? score : top;
    }
    for (int64_t at = first; at < first + rows.columns; at++) sum += exp((get(&rows, at) - top) / instance->temperature);
    for (int64_t at = first; at < first + rows.columns; at++)
      set(&y, rows.wide, at, exp((get(&rows, at) - top) / instance->temperature) / sum);
  }
  return CANDOR_OK;
}

/* Whether the number at `a` comes before the one at `b`: the larger one, and of equal ones the earlier. */
static int before(const struct rows *rows, int64_t a, int64_t b) {
  double left = get(rows, a), right = get(rows, b);
  return left > right || (left == right && a < b);
}

/* The best of `heap` sinks to the end; its first one is the worst, and gives way to what is better. */
static void sift(const struct rows *rows, int64_t *heap, int64_t count, int64_t at) {
  for (;;) {
    int64_t worst = at, left = 2 * at + 1;
    if (left < count && before(rows, heap[worst], heap[left])) worst = left;
    if (left + 1 < count && before(rows, heap[worst], heap[left + 1])) worst = left + 1;
    if (worst == at) return;
    int64_t kept = heap[at];
    heap[at] = heap[worst];
    heap[worst] = kept;
    at = worst;
  }
}

static candor_status run_top_k(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n) {
  struct rows rows;
  candor_status status = rows_of(call, in, n, &rows);
  if (status != CANDOR_OK) return status;
  int64_t k = instance->k;
  if (rows.columns < k) return fail(call, CANDOR_INVALID, "the input has fewer columns than `k`");
  const candor_tensor *x = rows.x;
  int64_t shape[CANDOR_NDIM_MAX];
  memcpy(shape, x->shape, (size_t)x->ndim * sizeof *shape);
  shape[x->ndim - 1] = k;
  candor_tensor values, indices;
  const candor_dtype i64 = {CANDOR_DTYPE_INT, 64, 1};
  status = call->fns->output(call, CANDOR_STR("values"), x->dtype, x->ndim, shape, &values);
  if (status != CANDOR_OK) return status;
  status = call->fns->output(call, CANDOR_STR("indices"), i64, x->ndim, shape, &indices);
  if (status != CANDOR_OK) return status;

  for (int64_t row = 0; row < rows.rows; row++) {
    if (row % 1024 == 0 && cancelled(call)) return fail(call, CANDOR_CANCELLED, "cancelled");
    /* The output's own memory is the heap: the places of the best that were seen. */
    int64_t first = row * rows.columns, *heap = (int64_t *)((char *)indices.data + indices.byte_offset) + row * k;
    for (int64_t at = 0; at < rows.columns; at++) {
      if (isnan(get(&rows, first + at))) return not_a_number(call, row);
      if (at < k) {
        heap[at] = first + at;
        if (at == k - 1)
          for (int64_t half = k / 2; half-- > 0;) sift(&rows, heap, k, half);
      } else if (before(&rows, first + at, heap[0])) {
        heap[0] = first + at;
        sift(&rows, heap, k, 0);
      }
    }
    /* The worst goes to the end, and so on: what remains is in order. */
    for (int64_t count = k; count-- > 1;) {
      int64_t worst = heap[0];
      heap[0] = heap[count];
      heap[count] = worst;
      sift(&rows, heap, count, 0);
    }
    for (int64_t at = 0; at < k; at++) {
      set(&values, rows.wide, row * k + at, get(&rows, heap[at]));
      heap[at] -= first;
    }
  }
  return CANDOR_OK;
}

static const candor_run_v1 softmax_v1 = {sizeof(candor_run_v1), 0, run_softmax};
static const candor_run_v1 top_k_v1 = {sizeof(candor_run_v1), 0, run_top_k};

static const void *softmax_interface(const char *id) { return strcmp(id, CANDOR_RUN_V1) == 0 ? &softmax_v1 : NULL; }
static const void *top_k_interface(const char *id) { return strcmp(id, CANDOR_RUN_V1) == 0 ? &top_k_v1 : NULL; }

static const candor_component softmax = {
    .struct_size = sizeof(candor_component),
    .flags = CANDOR_COMPONENT_CONCURRENT | CANDOR_COMPONENT_DETERMINISTIC,
    .id = "candor.softmax",
    .version = "0.1.0",
    .kinds = "transform",
    .config_schema = "{\"type\":\"object\",\"properties\":{\"temperature\":{\"type\":\"number\","
                     "\"exclusiveMinimum\":0}},\"additionalProperties\":false}",
    .create = create_softmax,
    .destroy = destroy,
    .get_interface = softmax_interface,
};

static const candor_component top_k = {
    .struct_size = sizeof(candor_component),
    .flags = CANDOR_COMPONENT_CONCURRENT | CANDOR_COMPONENT_DETERMINISTIC,
    .id = "candor.top_k",
    .version = "0.1.0",
    .kinds = "transform",
    .config_schema = "{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"integer\",\"minimum\":1,"
                     "\"maximum\":65536}},\"required\":[\"k\"],\"additionalProperties\":false}",
    .create = create_top_k,
    .destroy = destroy,
    .get_interface = top_k_interface,
};

static const candor_component *const components[] = {&softmax, &top_k};
CANDOR_DEFINE_MODULE(0, "{\"language\":\"c\"}", NULL, components);
