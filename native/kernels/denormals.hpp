// Denormal numbers slow the arithmetic down a hundred times and carry nothing: they are flushed to zero, on the way in
// and on the way out, as long as an object of this class lives, and the thread's own setting is put back.
#pragma once

class FlushDenormals {
  public:
    FlushDenormals() : before_(control()) { set_control(before_ | kFlush); }
    ~FlushDenormals() { set_control(before_); }
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;

  private:
#if defined(__SSE__)
    using Control = unsigned;
    static constexpr Control kFlush = 0x8040;  // flush to zero, and denormals are zeros
    static Control control() { return _mm_getcsr(); }
    static void set_control(Control value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
    using Control = std::uint64_t;
    static constexpr Control kFlush = 1u << 24;  // FPCR.FZ, which does both
    static Control control() {
        Control value;
        asm volatile("mrs %0, fpcr" : "=r"(value));
        return value;
    }
    static void set_control(Control value) { asm volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
#else
    using Control = unsigned;
    static constexpr Control kFlush = 0;  // no such setting is known: the numbers are right, and slower
    static Control control() { return 0; }
    static void set_control(Control) {}
#endif

    Control before_;
};
