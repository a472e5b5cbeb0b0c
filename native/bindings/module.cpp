#include <nanobind/nanobind.h>

#include "cpu.hpp"

NB_MODULE(_native, module) {
    module.doc() = "Pellucid's compiled part.";
    module.attr("__version__") = PELLUCID_VERSION;
    module.def("instruction_set", &pellucid::instruction_set,
               "The widest instruction set of this processor that the native engine knows: "
               "'avx512', 'avx2', 'neon' or 'baseline'.");
}
