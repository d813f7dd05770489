#pragma once

#include <functional>
#include <string>

namespace devid::test {

/// A cable from this process's network, which it has for itself (own_network.h), to another one that nobody else sees:
/// 192.0.2.2 here, 192.0.2.1 at the far end. Throws std::system_error or std::runtime_error.
class Cable {
 public:
  Cable();
  Cable(const Cable&) = delete;
  Cable& operator=(const Cable&) = delete;
  Cable(Cable&&) = delete;
  Cable& operator=(Cable&&) = delete;
  ~Cable();

  static constexpr const char* far_address = "192.0.2.1";

  /// Does something as at the far end, on this thread: the sockets that it makes, and the threads, are there.
  void at_far_end(const std::function<void()>& something) const;

  /// Takes the link down at the near end, with its routes; or brings it up again.
  void unplug() const;
  void plug() const;

 private:
  int near_;
  int far_;
};

}  // namespace devid::test
