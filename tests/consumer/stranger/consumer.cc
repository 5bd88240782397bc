/* SPDX-License-Identifier: MIT */
/* A stranger's C++17 program: a ring between two objects of C++. */
#include <cstdio>
#include <mring.h>
#include <string>
#include <string_view>

namespace {

class Ring {
  public:
    Ring()
    {
        mring_args args = {};
        args.capacity = mring_capacity(1, 0);
        err_ = mring_spsc_create(&ring_, &args);
    }
    Ring(const Ring &) = delete;
    Ring &operator=(const Ring &) = delete;
    ~Ring()
    {
        if (err_ == MRING_OK)
            mring_spsc_destroy(&ring_);
    }

    int err() const
    {
        return err_;
    }
    mring_spsc *get()
    {
        return &ring_;
    }

  private:
    mring_spsc ring_;
    int err_;
};

bool send_through(Ring &ring, std::string_view text)
{
    void *room = mring_spsc_reserve(ring.get(), text.size());
    if (room == nullptr)
        return false;
    text.copy(static_cast<char *>(room), text.size());
    mring_spsc_commit(ring.get(), text.size());

    size_t size = 0;
    const void *bytes = mring_spsc_peek(ring.get(), text.size(), &size);
    std::string received(static_cast<const char *>(bytes), size);
    mring_spsc_consume(ring.get(), size);
    return received == text;
}

} // namespace

int main()
{
    Ring ring;
    if (ring.err() != MRING_OK) {
        std::fprintf(stderr, "mring_spsc_create: %s\n", mring_errname(ring.err()));
        return 1;
    }

    /* Often enough to pass the end of the storage. */
    for (int i = 0; i < 1000; i++) {
        if (!send_through(ring, "a text that comes out as it went in")) {
            std::fprintf(stderr, "the bytes are not what was written\n");
            return 1;
        }
    }
    std::puts("consumer in C++: ok");
    return 0;
}
