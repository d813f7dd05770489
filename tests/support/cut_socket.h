#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <optional>
#include <thread>

namespace devid::test {

/// A borrowed TCP socket that closes itself once it has written so many bytes, or is slow: the layer below TLS of a
/// server that dies, or wants to keep its clients. Synchronous only.
class CutSocket {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using executor_type = Socket::executor_type;
  using lowest_layer_type = Socket::lowest_layer_type;

  explicit CutSocket(Socket& socket) : socket_(&socket) {}

  /// From now on; none: for ever.
  void cut_after(std::optional<std::size_t> bytes) { left_ = bytes; }

  /// From now on a byte at a time, and this between two; 0: no longer.
  void drip(std::chrono::milliseconds interval) { interval_ = interval; }

  executor_type get_executor() { return socket_->get_executor(); }
  lowest_layer_type& lowest_layer() { return socket_->lowest_layer(); }

  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, boost::system::error_code& error) {
    return socket_->read_some(buffers, error);
  }

  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, boost::system::error_code& error) {
    const boost::asio::const_buffer first = *boost::asio::buffer_sequence_begin(buffers);
    if (interval_.count() > 0) {
      std::this_thread::sleep_for(interval_);
      return socket_->write_some(boost::asio::buffer(first, 1), error);
    }
    if (!left_) return socket_->write_some(buffers, error);
    std::size_t written = 0;
    if (*left_ > 0) written = socket_->write_some(boost::asio::buffer(first, *left_), error);
    *left_ -= written;
    if (*left_ == 0 && !error) {
      boost::system::error_code ignored;
      static_cast<void>(socket_->shutdown(Socket::shutdown_both, ignored));
      error = boost::asio::error::connection_aborted;
    }
    return written;
  }

 private:
  Socket* socket_;
  std::optional<std::size_t> left_;
  std::chrono::milliseconds interval_{0};
};

}  // namespace devid::test
