/* One object of every struct of the interface, for tools that compare what a compiler makes of the header: abidiff sees
   types by what is exported. `cargo xtask test --only abidiff` builds it; abi-0.1.xml is what it was. */
#include "candor_plugin.h"

CANDOR_DEFINE_MODULE(0, "{}", 0, (&(const candor_component *const[]){0}));

CANDOR_EXPORT const candor_host *host;
CANDOR_EXPORT const candor_host_predict_v1 *host_predict;
CANDOR_EXPORT const candor_run_v1 *run;
CANDOR_EXPORT const candor_fit_v1 *fit;
CANDOR_EXPORT const candor_route_v1 *route;
CANDOR_EXPORT const candor_state_v1 *state;
CANDOR_EXPORT const candor_describe_v1 *describe;
