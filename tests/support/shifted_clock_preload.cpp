// What ShiftedClock puts between a program and its C library (ld.so(8), LD_PRELOAD): CLOCK_REALTIME is ahead by the
// number of seconds in the file "clock-offset", and a timer on that clock is cancelled, as when the clock was set, for
// each byte in the FIFO "clock-jumps". It never expires otherwise.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <string>

namespace {

std::string place(const char* file) {
  const char* directory = std::getenv("DEVID_TEST_CLOCK");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return std::string(directory == nullptr ? "" : directory) + "/" + file;
}

const volatile std::int64_t* map_offset() {
  const int fd = ::open(place("clock-offset").c_str(), O_RDONLY | O_CLOEXEC);
  void* memory = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<const volatile std::int64_t*>(memory);
}

const volatile std::int64_t* offset = nullptr;
int timer = -1;
bool armed = false;  // as it has to be to hear of it

__attribute__((constructor)) void begin() { offset = map_offset(); }

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const long result = ::syscall(SYS_clock_gettime, clock, time);
  if (result == 0 && clock == CLOCK_REALTIME && offset != nullptr) time->tv_sec += *offset;
  return static_cast<int>(result);
}

int timerfd_create(clockid_t clock, int flags) noexcept {
  if (clock != CLOCK_REALTIME) return static_cast<int>(::syscall(SYS_timerfd_create, clock, flags));
  timer = ::open(place("clock-jumps").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  return timer;
}

int timerfd_settime(int fd, int flags, const itimerspec* wanted, itimerspec* before) noexcept {
  if (fd != timer) return static_cast<int>(::syscall(SYS_timerfd_settime, fd, flags, wanted, before));
  armed = (flags & TFD_TIMER_CANCEL_ON_SET) != 0 && (flags & TFD_TIMER_ABSTIME) != 0;
  return 0;
}

ssize_t read(int fd, void* buffer, size_t size) {
  const long got = ::syscall(SYS_read, fd, buffer, fd == timer && timer >= 0 ? 1 : size);
  if (fd != timer || timer < 0 || got <= 0) return got;
  errno = armed ? ECANCELED : EAGAIN;
  return -1;
}

}  // extern "C"
