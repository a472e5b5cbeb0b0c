// The tests, one function a file.
#pragma once

namespace pellucid {

void test_conv();
void test_winograd();
void test_winograd_transforms();
void test_pooling();
void test_activation();
void test_power();
void test_lp_pool();
void test_softmax();
void test_response_norm();
void test_dropout();
void test_augment();
void test_batch_norm();
void test_joined();
void test_loss();
void test_networks();
void test_denormals();
void test_threads();
void test_update();
void test_measure();
void test_added();

}  // namespace pellucid
