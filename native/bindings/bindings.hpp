#pragma once

#include <nanobind/nanobind.h>

void bind_reading(nanobind::module_& module);
void bind_training(nanobind::module_& module);
