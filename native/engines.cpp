#include <cstring>

#include "program.hpp"

namespace pellucid {

#if defined(__x86_64__)
extern const Engine engine_baseline, engine_avx2, engine_avx512;
#elif defined(__aarch64__)
extern const Engine engine_neon;
#else
extern const Engine engine_baseline;
#endif

const char* instruction_set() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        return "avx512";
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        return "avx2";
    return "baseline";
#elif defined(__aarch64__)
    return "neon";
#else
    return "baseline";
#endif
}

const Engine* find_engine(const char* name) {
#if defined(__x86_64__)
    const Engine* narrow_to_wide[] = {&engine_baseline, &engine_avx2, &engine_avx512};
#elif defined(__aarch64__)
    const Engine* narrow_to_wide[] = {&engine_neon};
#else
    const Engine* narrow_to_wide[] = {&engine_baseline};
#endif
    for (const Engine* engine : narrow_to_wide) {
        if (std::strcmp(engine->name, name) == 0) return engine;
        if (std::strcmp(engine->name, instruction_set()) == 0) return nullptr;  // the wider ones this processor lacks
    }
    return nullptr;
}

}  // namespace pellucid
