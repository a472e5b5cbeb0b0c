// The tests, one function a file.
#pragma once

namespace pellucid {

void test_conv();
void test_pooling();
void test_activation();
void test_loss();
void test_networks();
void test_denormals();
void test_threads();
void test_update();
void test_measure();

}  // namespace pellucid
