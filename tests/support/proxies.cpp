#include "tests/support/proxies.h"

#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/loopback.h"

namespace devid::test {

std::uint16_t ProxyProcess::free_port() { return listen_on_port_pair().port; }

std::string ProxyProcess::log() const {
  std::ostringstream text;
  text << std::ifstream(directory_->path() / "log").rdbuf();
  return text.str();
}

void ProxyProcess::start(std::vector<std::string> argv) {
  constexpr int tries = 1000;
  process_ =
      std::make_unique<BackgroundProcess>(std::move(argv), std::vector<std::string>{}, directory_->path() / "log");
  for (int i = 0; i < tries && process_->runs(); ++i) {
    if (connect_to(port_)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("the proxy does not listen: " + log());
}

ProxyProcess ProxyProcess::tinyproxy(const Login& login, std::uint16_t only_port) {
  ProxyProcess proxy(free_port());
  const auto file = proxy.directory_->path() / "tinyproxy.conf";
  std::ofstream configuration(file);
  configuration << "Port " << proxy.port_ << "\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Connect\n";
  if (!login.user.empty()) configuration << "BasicAuth " << login.user << " " << login.password << "\n";
  if (only_port != 0) configuration << "ConnectPort " << only_port << "\n";
  configuration.close();
  proxy.start({"tinyproxy", "-d", "-c", file});
  return proxy;
}

ProxyProcess ProxyProcess::microsocks(const Login& login) {
  ProxyProcess proxy(free_port());
  proxy.start(
      {"microsocks", "-i", "127.0.0.1", "-p", std::to_string(proxy.port_), "-u", login.user, "-P", login.password});
  return proxy;
}

ProxyProcess ProxyProcess::https(const ProxyProcess& behind, const std::filesystem::path& certificate,
                                 const std::filesystem::path& key) {
  ProxyProcess proxy(free_port());
  proxy.start({"nghttpx", "--conf=/dev/null", "--http2-proxy", "--no-ocsp",
               "--frontend=127.0.0.1," + std::to_string(proxy.port_),
               "--backend=127.0.0.1," + std::to_string(behind.port_), key, certificate});
  return proxy;
}

ProxyProcess ProxyProcess::http_2(std::uint16_t server, const std::filesystem::path& certificate,
                                  const std::filesystem::path& key) {
  ProxyProcess proxy(free_port());
  proxy.start({"nghttpx", "--conf=/dev/null", "--insecure", "--no-ocsp",
               "--frontend=127.0.0.1," + std::to_string(proxy.port_),
               "--backend=127.0.0.1," + std::to_string(server) + ";;tls", key, certificate});
  return proxy;
}

}  // namespace devid::test
