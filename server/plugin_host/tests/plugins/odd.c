/* A plugin with a switch for everything that can be wrong with one. Compiled by the tests with -D. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "candor_plugin.h"

static const candor_host *the_host;

#ifdef MARK /* leaves a file behind as soon as anything of this library runs */
static void leave_mark(const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s.%s", MARK, name);
  FILE *file = fopen(path, "w");
  if (file) fclose(file);
}
__attribute__((constructor)) static void constructor(void) {
  leave_mark("constructor");
#ifdef CLAIMS /* takes the worker's word before the worker has it, and says what no manifest does */
  static const char claim[] = "{\"Found\":{\"components\":[{\"id\":\"" CLAIMS "\",\"version\":\"0.1.0\",\"kinds\":[\"predictor\"],"
                              "\"config_schema\":\"{}\",\"flags\":0}],\"build_info\":\"{}\"}}";
  uint32_t size = sizeof claim - 1;
  if (write(0, &size, 4) < 0 || write(0, claim, size) < 0) abort();
  pause();
#endif
#ifdef CRASH_AT_LOAD
  abort();
#endif
}
#else
static void leave_mark(const char *name) { (void)name; }
#endif

#ifdef UNDEFINED
extern int nobody_has_this(void);
#endif
#ifdef NEEDS_OTHER
extern int other(void);
#endif

#ifndef ABI_MAJOR
#define ABI_MAJOR CANDOR_ABI_MAJOR
#endif
#ifndef MIN_MINOR
#define MIN_MINOR CANDOR_ABI_MINOR
#endif
#ifndef BUILT_MINOR
#define BUILT_MINOR CANDOR_ABI_MINOR
#endif
#ifndef MAGIC
#define MAGIC CANDOR_MAGIC
#endif
#ifndef SIZE
#define SIZE sizeof(candor_module)
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef COMPONENT_FLAGS
#define COMPONENT_FLAGS CANDOR_COMPONENT_CONCURRENT
#endif
#ifndef COMPONENT_SIZE
#define COMPONENT_SIZE sizeof(candor_component)
#endif
#ifndef ANSWER
#define ANSWER 1
#endif
#ifndef ID
#define ID "test.odd"
#endif
#ifndef SYMBOL
#define SYMBOL candor_module_v1
#endif
#ifndef SCHEMA
#define SCHEMA "{}"
#endif
#ifndef INIT_STATUS
#define INIT_STATUS CANDOR_OK
#endif

static candor_status fail(candor_call *call, candor_status status, const char *why) {
  candor_str message = {why, strlen(why)};
  call->fns->set_error(call, status, message);
  return status;
}

struct candor_instance {
  int inside;   /* calls under way, to catch overlaps */
  int overlaps;
};

static candor_status create(const candor_host *host, candor_call *call, candor_str config, candor_instance **out) {
  the_host = host;
#ifdef CREATE_FAILS
  (void)config, (void)out;
  return fail(call, CANDOR_INVALID, "not today");
#else
  if (config.len > 2 && memcmp(config.ptr, "{\"no\"", 5) == 0) return fail(call, CANDOR_INVALID, "no");
#ifdef SLOW_CREATE
  leave_mark("creating");
  sleep(SLOW_CREATE);
#endif
  *out = calloc(1, sizeof **out);
  leave_mark("create");
  return CANDOR_OK;
#endif
}

static void destroy(candor_instance *instance) {
  leave_mark("destroy");
  free(instance);
}

/* What to do is the first input's name. */
static int asked(const candor_value *in, uint32_t n, const char *what) {
  return n > 0 && in[0].name.len == strlen(what) && memcmp(in[0].name.ptr, what, in[0].name.len) == 0;
}

static candor_status run(candor_instance *instance, candor_call *call, const candor_value *in, uint32_t n) {
  int64_t one = 1, huge[2] = {INT64_C(1) << 40, INT64_C(1) << 40}, negative = -1, large = INT64_C(1) << 34;
  candor_dtype f32 = {CANDOR_DTYPE_FLOAT, 32, 1}, boolean = {CANDOR_DTYPE_BOOL, 8, 1}, odd = {9, 7, 3};
  candor_tensor y;
  if (asked(in, n, "silent")) return CANDOR_INVALID;
  if (asked(in, n, "unknown status")) return 77;
  if (asked(in, n, "panic")) return fail(call, CANDOR_PANIC, "as if it panicked");
  if (asked(in, n, "huge")) return call->fns->output(call, CANDOR_STR("y"), f32, 2, huge, &y);
  if (asked(in, n, "large")) return call->fns->output(call, CANDOR_STR("y"), f32, 1, &large, &y);
  if (asked(in, n, "negative")) return call->fns->output(call, CANDOR_STR("y"), f32, 1, &negative, &y);
  if (asked(in, n, "rank")) return call->fns->output(call, CANDOR_STR("y"), f32, 9, huge, &y);
  if (asked(in, n, "no shape")) return call->fns->output(call, CANDOR_STR("y"), f32, 1, NULL, &y);
  if (asked(in, n, "type")) return call->fns->output(call, CANDOR_STR("y"), odd, 1, &one, &y);
  if (asked(in, n, "no place")) return call->fns->output(call, CANDOR_STR("y"), f32, 1, &one, NULL);
  if (asked(in, n, "name")) return call->fns->output(call, CANDOR_STR("\xff"), f32, 1, &one, &y);
  if (asked(in, n, "ignores refusals")) {
    call->fns->output(call, CANDOR_STR("y"), f32, 1, &negative, &y);
    return CANDOR_OK;
  }
  if (asked(in, n, "twice")) {
    call->fns->output(call, CANDOR_STR("y"), f32, 1, &one, &y);
    return call->fns->output(call, CANDOR_STR("y"), f32, 1, &one, &y);
  }
  if (asked(in, n, "many")) {
    for (int at = 0; at < 1000; at++) {
      char name[16];
      candor_str text = {name, (size_t)snprintf(name, sizeof name, "y%d", at)};
      candor_status status = call->fns->output(call, text, f32, 1, &one, &y);
      if (status != CANDOR_OK) return status;
    }
  }
  if (asked(in, n, "bool")) {
    candor_status status = call->fns->output(call, CANDOR_STR("y"), boolean, 1, &one, &y);
    if (status == CANDOR_OK) *(uint8_t *)y.data = 7;
    return status;
  }
  if (asked(in, n, "strings")) {
    candor_str both[2] = {CANDOR_STR("one"), {NULL, 0}};
    int64_t two = 2;
    return call->fns->output_strings(call, CANDOR_STR("s"), 1, &two, both);
  }
  if (asked(in, n, "artifact")) {
    call->fns->progress(call, 0.25, CANDOR_STR("quarter"));
    call->fns->artifact(call, CANDOR_STR("a"), "one", 3);
    return call->fns->artifact(call, CANDOR_STR("a"), "two", 3);
  }
  if (asked(in, n, "wait")) {
    while (call->cancel && !__atomic_load_n(call->cancel, __ATOMIC_RELAXED)) {
    }
    return fail(call, CANDOR_CANCELLED, "cancelled");
  }
  if (asked(in, n, "overlap")) {
    if (__atomic_add_fetch(&instance->inside, 1, __ATOMIC_SEQ_CST) > 1) instance->overlaps = 1;
    for (volatile int spin = 0; spin < 20000; spin++) {
    }
    __atomic_sub_fetch(&instance->inside, 1, __ATOMIC_SEQ_CST);
    if (instance->overlaps) return fail(call, CANDOR_INTERNAL, "two calls at once");
  }
  if (asked(in, n, "mark")) leave_mark("run");
  if (asked(in, n, "much")) {
    int64_t floats = 6 << 20;
    return call->fns->output(call, CANDOR_STR("y"), f32, 1, &floats, &y);
  }
  if (asked(in, n, "abort")) abort();
  if (asked(in, n, "crash")) *(volatile int *)8 = 1;
  if (asked(in, n, "exit")) _exit(3);
  if (asked(in, n, "hang")) {
    for (volatile int forever = 1; forever;) {
    }
  }
  if (asked(in, n, "leak")) {
    for (;;) {
      char *leaked = malloc(1 << 20);
      if (!leaked) abort();
      memset(leaked, 1, 1 << 20);
    }
  }
  if (asked(in, n, "flood")) {
    for (int line = 0; line < 20000; line++) the_host->log(the_host->self, CANDOR_LOG_INFO, CANDOR_STR("flood"));
  }
  if (asked(in, n, "ring")) { /* answers before the answer is there, and then does not answer */
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    while (maps && fgets(line, sizeof line, maps)) {
      if (!strstr(line, "memfd:candor-plugin")) continue;
      uint32_t *words = (uint32_t *)strtoull(line, NULL, 16);
      words[32] = words[16]; /* the bells: what was asked is answered */
      syscall(SYS_futex, &words[32], FUTEX_WAKE, 1, NULL, NULL, 0);
      break;
    }
    for (volatile int forever = 1; forever;) {
    }
  }
  if (asked(in, n, "block")) { /* whoever reads or writes these files is to wait from now on */
    for (int file = 0; file < 64; file++) fcntl(file, F_SETFL, 0);
  }
  if (asked(in, n, "stuff")) { /* no room is left in any pipe, through doors of its own */
    for (int file = 3; file < 64; file++) {
      char path[64], target[64] = {0};
      static const char rings[1 << 16];
      snprintf(path, sizeof path, "/proc/self/fd/%d", file);
      if (readlink(path, target, sizeof target - 1) < 0 || !strstr(target, "pipe:")) continue;
      int door = open(path, O_WRONLY | O_NONBLOCK);
      while (door >= 0 && write(door, rings, sizeof rings) > 0) {
      }
    }
  }
  if (asked(in, n, "strike")) { /* at the server, by every means that a process of its user has */
    pid_t server = getppid();
    struct rlimit none = {0, 0};
    int pipes[2], refused = 0;
    refused += kill(server, SIGKILL) < 0 && errno == EPERM;
    refused += kill(0, SIGTERM) < 0 && errno == EPERM;
    refused += syscall(SYS_tkill, server, SIGKILL) < 0 && errno == EPERM;
    refused += syscall(SYS_tgkill, server, server, SIGKILL) < 0 && errno == EPERM;
    refused += syscall(SYS_pidfd_send_signal, syscall(SYS_pidfd_open, server, 0), SIGKILL, NULL, 0) < 0 && errno == EPERM;
    refused += ptrace(PTRACE_ATTACH, server, NULL, NULL) < 0 && errno == EPERM;
    refused += prlimit(server, RLIMIT_CPU, &none, NULL) < 0 && errno == EPERM;
    refused += pipe(pipes) == 0 && fcntl(pipes[0], F_SETOWN, server) < 0 && errno == EPERM;
    refused += prctl(PR_SET_PDEATHSIG, 0) < 0 && errno == EPERM;
    candor_status status = call->fns->output(call, CANDOR_STR("y"), f32, 1, &one, &y);
    if (status == CANDOR_OK) *(float *)y.data = (float)refused;
    return status;
  }
  if (asked(in, n, "privileges")) {
    FILE *file = fopen("/proc/self/status", "r");
    char text[128];
    int64_t found = -1;
    while (file && fgets(text, sizeof text, file)) {
      if (strncmp(text, "NoNewPrivs:", 11) == 0) found = atoi(text + 11);
    }
    candor_status status = call->fns->output(call, CANDOR_STR("y"), f32, 1, &one, &y);
    if (status == CANDOR_OK) *(float *)y.data = (float)found + (getenv("PATH") ? 100.0f : 0.0f);
    return status;
  }
#ifdef UNDEFINED
  if (n == 99) return nobody_has_this();
#endif
#ifdef NEEDS_OTHER
  if (n == 99) return other();
#endif
  candor_status status = call->fns->output(call, CANDOR_STR("y"), f32, 1, &one, &y);
  if (status == CANDOR_OK) *(float *)y.data = ANSWER;
  return status;
}

static const candor_run_v1 run_v1 = {sizeof(candor_run_v1), 0, run};
static const void *get_interface(const char *id) { return strcmp(id, CANDOR_RUN_V1) == 0 ? &run_v1 : NULL; }

static const candor_component component = {COMPONENT_SIZE, COMPONENT_FLAGS, ID, "0.1.0", "predictor", SCHEMA, create,
                                           destroy,        get_interface};
static const candor_component *const components[] = {&component};

static candor_status init(const candor_host *host) {
  (void)host;
  leave_mark("init");
#ifdef TALKS_FOR_EVER
  for (;;) {
    host->log(host->self, CANDOR_LOG_INFO, CANDOR_STR("a little more"));
    usleep(100000);
  }
#endif
  return INIT_STATUS;
}

#ifdef AS_FUNCTION
CANDOR_EXPORT int SYMBOL(void) { return 0; }
#else
extern CANDOR_EXPORT const candor_module SYMBOL;
const candor_module SYMBOL = {MAGIC, ABI_MAJOR, MIN_MINOR, BUILT_MINOR, 0, SIZE, FLAGS, "{}", init, 1, 0, components};
#endif
