// A thread's share of a step: the whole of it when every thread has a block of its own, else a range of its items.
#pragma once

inline int at_most(int a, int b) { return a < b ? a : b; }

struct Range {
    int from, to;
    struct Iterator {
        int i;
        int operator*() const { return i; }
        Iterator& operator++() {
            ++i;
            return *this;
        }
        bool operator!=(const Iterator& other) const { return i != other.i; }
    };
    Iterator begin() const { return {from}; }
    Iterator end() const { return {to}; }
};

struct Part {
    int index, count;

    // Items are handed out in runs, so that which thread computes an item never changes what it computes.
    Range of(int items) const {
        return {static_cast<int>(static_cast<long>(items) * index / count),
                static_cast<int>(static_cast<long>(items) * (index + 1) / count)};
    }
};
