#include "tests/support/openssl_server.h"

#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/loopback.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;

/// It ends with its standard input: the shell opens a pipe for both reading and writing, so that this one never does.
std::vector<std::string> command_line(const fs::path& directory, std::uint16_t port, std::vector<std::string> options) {
  std::vector<std::string> words = {"sh",
                                    "-c",
                                    "mkfifo \"$0\" && exec openssl s_server \"$@\" <>\"$0\"",
                                    directory / "input",
                                    "-accept",
                                    "127.0.0.1:" + std::to_string(port),
                                    "-msg",
                                    "-no_ticket"};
  words.insert(words.end(), options.begin(), options.end());
  return words;
}

std::vector<std::string> with_files(const fs::path& certificate, const fs::path& key, const fs::path& client_ca,
                                    const std::vector<std::string>& more) {
  std::vector<std::string> options = {"-cert",   certificate,           "-key", key, "-Verify", "1", "-CAfile",
                                      client_ca, "-verify_return_error"};
  options.insert(options.end(), more.begin(), more.end());
  return options;
}

}  // namespace

OpensslServer::OpensslServer(const fs::path& certificate, const fs::path& key, const fs::path& client_ca,
                             const std::vector<std::string>& options)
    : port_(listen_on_port_pair().port),
      process_(command_line(directory_.path(), port_, with_files(certificate, key, client_ca, options)), {},
               directory_.path() / "log") {
  constexpr int tries = 500;
  for (int i = 0; i < tries && process_.runs(); ++i) {
    if (log().find("ACCEPT") != std::string::npos) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("openssl s_server does not listen: " + log());
}

std::string OpensslServer::log() const {
  std::ostringstream text;
  text << std::ifstream(directory_.path() / "log", std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace devid::test
