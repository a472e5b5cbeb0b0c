#pragma once

namespace pellucid {

// The widest instruction set this processor runs, of those the native engine knows:
// "avx512", "avx2", "neon" or "baseline".
const char* instruction_set();

}  // namespace pellucid
