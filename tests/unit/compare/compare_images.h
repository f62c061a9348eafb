// Images for the tests of diff and rebase: layers in words, written to manifests as the store would
// have them, and printed back.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "imaged/compare/image_diff.h"
#include "imaged/compare/pair_walk.h"
#include "tests/unit/manifest/sample_trees.h"

namespace strata::imaged::testing {

// Layers, the manifests of each and of the whole, and readers of these. Copies share everything.
class Image {
 public:
  Image() { Flatten(); }
  explicit Image(const std::vector<const Tree*>& layers) {
    for (const Tree* layer : layers) Add(*layer);
    Flatten();
  }
  // The same with one more layer on top.
  Image With(const Tree& layer) const {
    Image image(*this);
    image.Add(layer);
    image.Flatten();
    return image;
  }

  const ErofsReader& reader() const { return *flat_->reader; }
  Tree LoadTree() const { return Must(reader().LoadTree()); }
  ComparedImage View() const {
    ComparedImage view;
    view.tree = flat_->reader.get();
    for (const auto& layer : layers_) view.layers.push_back({layer->digest, layer->reader.get()});
    return view;
  }
  // The same image with nothing known of its layers.
  ComparedImage WholeView() const { return {flat_->reader.get(), {}}; }

 private:
  struct Manifest {
    explicit Manifest(const Tree& tree) {
      WrittenManifest written;
      bytes = ImageOf(tree, &written);
      digest = written.digest;
      reader = Must(ErofsReader::FromMemory(bytes));
    }
    std::string bytes;
    Digest digest;
    std::unique_ptr<ErofsReader> reader;
  };
  void Add(const Tree& layer) { layers_.push_back(std::make_shared<Manifest>(layer)); }
  void Flatten() {
    Tree tree;
    for (const auto& layer : layers_) Must(ApplyLayer(Must(layer->reader->LoadTree()), &tree));
    flat_ = std::make_shared<Manifest>(tree);
  }

  std::vector<std::shared_ptr<Manifest>> layers_;
  std::shared_ptr<Manifest> flat_;
};

// What follows the ':' of a word: "m600", "o7" (uid), "g7", "t9" (mtime), "xNAME=VALUE"
// (user.NAME), with commas between them.
inline void SetAttributes(std::string_view text, Inode* inode) {
  while (!text.empty()) {
    const std::string item(text.substr(0, text.find(',')));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    const std::string value = item.substr(1);
    if (item[0] == 'm') inode->mode = (inode->mode & S_IFMT) | std::stoul(value, nullptr, 8);
    if (item[0] == 'o') inode->uid = std::stoul(value);
    if (item[0] == 'g') inode->gid = std::stoul(value);
    if (item[0] == 't') inode->mtime_s = std::stol(value);
    if (item[0] == 'x') {
      const size_t equals = value.find('=');
      inode->xattrs.push_back({"user." + value.substr(0, equals), value.substr(equals + 1)});
    }
  }
}

inline std::string PrintAttributes(const Inode& inode) {
  const uint32_t usual = inode.IsDirectory() ? 0755 : S_ISLNK(inode.mode) ? 0777 : 0644;
  std::ostringstream out;
  if ((inode.mode & 07777) != usual) out << ",m" << std::oct << (inode.mode & 07777) << std::dec;
  if (inode.uid != 0) out << ",o" << inode.uid;
  if (inode.gid != 0) out << ",g" << inode.gid;
  if (inode.mtime_s != 0) out << ",t" << inode.mtime_s;
  for (const Xattr& xattr : inode.xattrs) out << ",x" << xattr.name.substr(5) << "=" << xattr.value;
  std::string text = out.str();
  if (!text.empty()) text[0] = ':';
  return text;
}

// "d/" a directory, "d/!" an opaque one, "f=text" a file, "s>target" a symbolic link, "p|" a FIFO,
// "w?" a whiteout, "a==b" a further name of b; then attributes. "/" is the root.
inline Tree Layer(const std::vector<std::string>& words) {
  Tree tree;
  for (const std::string& word : words) {
    if (const size_t same = word.find("=="); same != std::string::npos) {
      const std::string path = word.substr(0, same);
      const size_t slash = path.rfind('/');
      const InodeIndex parent =
          slash == std::string::npos ? Tree::kRoot : *tree.Find(path.substr(0, slash));
      Must(tree.Link(parent, path.substr(slash + 1), *tree.Find(word.substr(same + 2))));
      continue;
    }
    const size_t colon = word.find(':');
    const std::string attributes = colon == std::string::npos ? "" : word.substr(colon + 1);
    const std::string plain = word.substr(0, colon);
    if (plain == "/" || plain == "/!") {
      Inode root = Directory();
      SetAttributes(attributes, &root);
      Must(tree.CopyAttributes(Tree::kRoot, root));
      tree.mutable_inode(Tree::kRoot).opaque = plain == "/!";
      continue;
    }
    const size_t mark = plain.find_first_of("=>");
    std::string path = plain.substr(0, mark);
    Inode inode;
    if (mark != std::string::npos) {
      const std::string text = plain.substr(mark + 1);
      inode = plain[mark] == '=' ? InlineFile(text) : Symlink(text);
    } else if (path.ends_with("/!")) {
      inode = OpaqueDirectory();
      path.resize(path.size() - 2);
    } else {
      inode = path.ends_with('/') ? Directory() : Whiteout();
      if (path.ends_with('|')) inode.mode = S_IFIFO | 0644;
      path.pop_back();
    }
    SetAttributes(attributes, &inode);
    Put(&tree, path, std::move(inode));
  }
  return tree;
}

// The words of a tree, in the order of a walk; the root only where it is not as usual.
inline std::vector<std::string> Words(const Tree& tree) {
  std::vector<std::string> words;
  std::map<InodeIndex, std::string> names;
  Must(tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
    const Inode& inode = tree.inode(index);
    const auto [name, fresh] = names.emplace(index, path);
    std::string word = path;
    if (!fresh) {
      words.push_back(path + "==" + name->second);
      return Ok();
    }
    if (inode.IsDirectory()) word += inode.opaque ? "/!" : "/";
    if (inode.IsRegular()) word += "=" + inode.data;
    if (S_ISLNK(inode.mode)) word += ">" + inode.data;
    if (S_ISFIFO(inode.mode)) word += "|";
    if (inode.IsWhiteout()) {
      words.push_back(word + "?");
      return Ok();
    }
    word += PrintAttributes(inode);
    if (word != "/") words.push_back(word);
    return Ok();
  }));
  return words;
}

inline std::string PrintDifferences(uint32_t differences) {
  static constexpr std::pair<uint32_t, const char*> kNames[] = {
      {kType, "type"},   {kContent, "content"}, {kTarget, "target"}, {kMode, "mode"},
      {kOwner, "owner"}, {kXattrs, "xattrs"},   {kMtime, "mtime"},   {kLinks, "links"}};
  std::string text;
  for (const auto& [bit, name] : kNames) {
    if ((differences & bit) != 0) text += std::string(text.empty() ? "" : ",") + name;
  }
  return text;
}

struct DiffResult {
  std::vector<std::string> lines;  // "+ path", "- path", "~ path content,mode"
  std::vector<std::string> paths;
  DiffSummary summary;
};

inline DiffResult Diff(const ComparedImage& before, const ComparedImage& after,
                       const DiffOptions& options = {}) {
  DiffResult result;
  result.summary = Must(DiffImages(before, after, options, [&](const DiffEntry& entry) {
    const char* mark = entry.change == Change::kAdded     ? "+ "
                       : entry.change == Change::kRemoved ? "- "
                                                          : "~ ";
    std::string line = mark + entry.path;
    if (entry.differences != 0) line += " " + PrintDifferences(entry.differences);
    result.lines.push_back(std::move(line));
    result.paths.push_back(entry.path);
    return Ok();
  }));
  return result;
}

}  // namespace strata::imaged::testing
