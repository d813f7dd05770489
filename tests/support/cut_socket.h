#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <optional>
#include <utility>

namespace devid::test {

/// A TCP socket that closes itself once it has written so many bytes: the layer below TLS of a server that dies.
/// Synchronous only.
class CutSocket {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using executor_type = Socket::executor_type;
  using lowest_layer_type = Socket::lowest_layer_type;

  explicit CutSocket(Socket socket) : socket_(std::move(socket)) {}

  /// From now on; none: for ever.
  void cut_after(std::optional<std::size_t> bytes) { left_ = bytes; }

  executor_type get_executor() { return socket_.get_executor(); }
  lowest_layer_type& lowest_layer() { return socket_.lowest_layer(); }

  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, boost::system::error_code& error) {
    return socket_.read_some(buffers, error);
  }

  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, boost::system::error_code& error) {
    if (!left_) return socket_.write_some(buffers, error);
    const boost::asio::const_buffer first = *boost::asio::buffer_sequence_begin(buffers);
    std::size_t written = 0;
    if (*left_ > 0) written = socket_.write_some(boost::asio::buffer(first, *left_), error);
    *left_ -= written;
    if (*left_ == 0 && !error) {
      boost::system::error_code ignored;
      static_cast<void>(socket_.shutdown(Socket::shutdown_both, ignored));
      error = boost::asio::error::connection_aborted;
    }
    return written;
  }

 private:
  Socket socket_;
  std::optional<std::size_t> left_;
};

}  // namespace devid::test
