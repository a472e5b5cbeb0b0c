#pragma once

#include <nanobind/nanobind.h>

void bind_training(nanobind::module_& module);
