#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {

// Powers of two for p, so that what is kept is multiplied by a whole number.
void test_dropout() {
    Random random(21);
    for (const int width : {1, 3, 4, 9}) {
        for (const int count : {1, 17, 33}) {
            Net net(3, 5, width);
            net.conv(2, {}).dropout(0.5).activation(Activation::kReLU);
            net.conv(3, {{1}, {3, 1, 1, 1, 1}}).dropout(0.75).flatten().dropout(0.0).linear(4);
            Data data = whole_numbers(net, count, random);
            data.seed = 0x123456789ABCDEF;
            data.step = 0x100000005;
            const std::string here = "width " + std::to_string(width) + ", batch of " + std::to_string(count);
            check_against_naive("dropout, " + here, net, data, 0.0);
        }
    }
}

}  // namespace pellucid
