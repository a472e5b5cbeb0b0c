#pragma once

#include <cstddef>
#include <cstdint>

#include "lanes.hpp"
#include "optimizer.hpp"

namespace pellucid {

// What a step computes; the names are those of the layers. A linear layer is a convolution of 1×1 maps.
enum class Op : int { kConv, kMaxPool, kAvgPool, kActivation, kFlatten, kDropout, kLPPool, kSoftmax, kResponseNorm };

enum class Activation : int { kNone, kReLU, kLeakyReLU, kELU, kSigmoid, kTanh };

enum class Loss : int { kCrossEntropy, kLogLoss, kSquaredError };

// A value of the network for one block of 16 samples: [channels][height][width + 2·border] lanes, the border zero.
struct Slot {
    int channels, height, width, border;
    std::ptrdiff_t value, delta;  // where value and ∂J/∂value begin in a block's arena, in lanes

    int pitch() const { return width + 2 * border; }
    std::ptrdiff_t plane() const { return static_cast<std::ptrdiff_t>(height) * pitch(); }
};

// A sliding window: output l reads the inputs stride·l + dilation·j − before, j = 0 … kernel − 1.
struct Axis {
    int kernel, stride, dilation, before;
};

struct Step {
    Op op;
    int input, output;  // slots
    Axis rows, columns;
    int groups;
    bool flip;                    // the filter is turned by 180°: a true convolution
    std::ptrdiff_t weight, bias;  // where they begin among the parameters; −1 for none
    Activation activation;        // applied to the output in place
    float alpha;                  // slope of the leaky ReLU, scale of the ELU
    const float* scale;           // average pooling: 1/divisor of every output pixel
    bool column_major;            // flatten: each map column by column
    bool needs_dx;                // false where nothing before it learns
    bool adds;                    // dx is added to what another step has put into its input's δ
    std::ptrdiff_t scratch;  // in the arena: max pooling's winners, response norm's s, Winograd's tiles of δ and sums
    std::ptrdiff_t packed;   // convolution: where its packed weights begin, forward; those for dx follow
    int tile;                // convolution: forward and dx by F(tile×tile, kernel×kernel); 0: the direct way
    int weights_tile;        // the same of the weight gradient

    double p;      // dropout: probability that an entry is dropped; LP pooling: of the p-norm
    int position;  // dropout: of the layer in the graph
    int size;      // response norm: s = k + share·Σ x² over so many channels, y = x·s^(−beta)
    float k, share;
    double beta;

    int side() const { return tile > weights_tile ? tile : weights_tile; }  // of its tiles, whatever they are for
};

struct Program {
    const Slot* slots;
    const Step* steps;
    int step_count;
    int input, output;  // slots
    Loss loss;
    std::ptrdiff_t arena;       // lanes that one block takes
    std::ptrdiff_t parameters;  // floats
    std::ptrdiff_t packed;      // floats of all packed weights
    std::ptrdiff_t scratch;     // lanes that one thread needs besides
};

// One batch, and where its results go. Samples are gathered by `rows` from images and targets of the whole data set.
struct Batch {
    const void* images;  // (N, C, H, W) bytes, divided by 255 on the way in, or floats
    bool bytes;
    const float* mean;         // of one sample, taken off; may be null
    const std::int64_t* rows;  // (count)
    int count;
    const float* target;  // (N, K); null for prediction
    const float* weight;  // (count): w_t / Σ w
    const float* params;
    float* gradients;  // as params; null for prediction
    float* outputs;    // (count, K): the last layer's output, before the loss's activation
    double loss;       // Σ weight·ℓ, with penalties if there is an update
    int threads;
    std::uint64_t seed, step;  // of the network: what dropout draws
    bool training;             // dropout drops
    Update* update;            // done once the gradients are complete; null for none
    bool activated = false;    // outputs after the loss's activation: predictions
};

// What a convolution computes in one go; its weights are packed once a batch, for forward and dx together.
enum class Pass : int { kForward, kDx, kDweight, kPack };

// Buffers that one network keeps from batch to batch.
struct Workspace {
    void* const* arenas;   // lanes, one arena a thread
    void* const* scratch;  // lanes, one a thread; the first of them stay zero
    float* packed;
    float* gradients;  // one set a block
    double* losses;    // one a block
    ChunkSums* chunks;
};

// Where a value lies if one sample's channels are the lanes: [height][width + 2·border][pixel] floats.
struct ChannelSlot {
    std::ptrdiff_t value;  // in the arena, in lanes
    int pixel;             // floats from one pixel to the next
};

// What a network needs for such a sample; see few_samples.hpp.
struct ChannelMemory {
    const ChannelSlot* slots;
    const std::ptrdiff_t* weights;  // where each step's packed weights begin, in lanes
    lanes* arena;
    lanes* packed;
};

// The same code, compiled once for every instruction set. What crosses this border is plain data: a template of the
// standard library compiled for a wider set must never be linked into the code for a narrower one.
struct Engine {
    const char* name;
    void (*run)(const Program&, const Workspace&, Batch&);
    void (*run_few)(const Program&, const ChannelMemory&, Batch&, int threads);
    void (*pack_few)(const Program&, const ChannelMemory&, const float* params);
    // For the benchmarks; see isa/measure.hpp.
    int (*repeat)(const Program&, const Workspace&, const Step&, Pass, const float* params, int repetitions,
                  int threads);
    double (*multiply_adds)(long rounds, int threads, float* sum);
};

const Engine* find_engine(const char* name);  // null if this build or this processor has none of that name
const char* instruction_set();                // the widest one this processor runs

}  // namespace pellucid
