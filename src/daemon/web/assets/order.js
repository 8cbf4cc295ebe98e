// Orders neurons so that those with similar couplings lie together. A worker: nothing of it holds the page up.
//
// Each neuron is described by its couplings in both directions; two neurons are as similar as the correlation coefficient of these. Clusters are
// merged by average linkage (nearest-neighbour chains, Murtagh 1983), and lie in the order of the tree, each turned so that similar ends meet.

onmessage = ({ data: { ticket, n, couplings, takesPart, limit } }) => {
  const members = [];
  for (let i = 0; i < n; i++) if (takesPart[i]) members.push(i);
  const order = leaves(merge(similarities(members, n, couplings, limit), members.length), members);
  for (let i = 0; i < n; i++) if (!takesPart[i]) order.push(i);
  postMessage({ ticket, order: Uint32Array.from(order) });
};

/** Correlation coefficients of the descriptions, m × m. A few huge couplings would outweigh all others: they are cut to the limit. */
function similarities(members, n, couplings, limit) {
  const m = members.length,
    length = 2 * m;
  const described = new Float32Array(m * length);
  const cut = (value) => Math.max(-limit, Math.min(limit, value));
  for (let a = 0; a < m; a++) {
    const row = described.subarray(a * length, (a + 1) * length);
    let sum = 0;
    for (let b = 0; b < m; b++) {
      row[b] = a === b ? 0 : cut(couplings[members[a] * n + members[b]]);
      row[m + b] = a === b ? 0 : cut(couplings[members[b] * n + members[a]]);
      sum += row[b] + row[m + b];
    }
    const mean = sum / length;
    let square = 0;
    for (let k = 0; k < length; k++) {
      row[k] -= mean;
      square += row[k] * row[k];
    }
    const size = Math.sqrt(square) || 1;
    for (let k = 0; k < length; k++) row[k] /= size;
  }
  const similar = new Float32Array(m * m);
  for (let a = 0; a < m; a++) {
    const left = described.subarray(a * length, (a + 1) * length);
    for (let b = a + 1; b < m; b++) {
      const at = b * length;
      let s0 = 0,
        s1 = 0,
        k = 0;
      for (; k + 1 < length; k += 2) {
        s0 += left[k] * described[at + k];
        s1 += left[k + 1] * described[at + k + 1];
      }
      similar[a * m + b] = similar[b * m + a] = s0 + s1;
    }
  }
  return { similar, whole: similar.slice() };
}

/** The tree: clusters 0 to m − 1 are the neurons, each merge adds one. */
function merge({ similar, whole }, m) {
  const size = new Float32Array(m).fill(1),
    alive = new Uint8Array(m).fill(1);
  const name = Int32Array.from({ length: m }, (_, k) => k);
  const trees = Array.from({ length: m }, (_, k) => [k]);
  let chain = [],
    left = m,
    next = 0;
  while (left > 1) {
    if (!chain.length) {
      while (!alive[next]) next += 1;
      chain.push(next);
    }
    for (;;) {
      const a = chain[chain.length - 1],
        before = chain.length > 1 ? chain[chain.length - 2] : -1;
      let best = before,
        most = before >= 0 ? similar[a * m + before] : -Infinity;
      for (let b = 0; b < m; b++)
        if (alive[b] && b !== a && similar[a * m + b] > most) {
          most = similar[a * m + b];
          best = b;
        }
      if (best !== before) {
        chain.push(best);
        continue;
      }
      chain.length -= 2;
      for (let c = 0; c < m; c++) {
        if (!alive[c] || c === a || c === best) continue;
        const average = (size[a] * similar[a * m + c] + size[best] * similar[best * m + c]) / (size[a] + size[best]);
        similar[a * m + c] = similar[c * m + a] = average;
      }
      trees[a] = joined(trees[a], trees[best], whole, m);
      trees[best] = null;
      size[a] += size[best];
      alive[best] = 0;
      left -= 1;
      break;
    }
  }
  return m ? trees[name.find((k) => alive[k])] : [];
}

/** Two stretches, turned so that the ends that meet are the most similar ones. */
function joined(one, other, whole, m) {
  const ends = (list) => [list[0], list[list.length - 1]];
  const [a, b] = ends(one),
    [c, d] = ends(other);
  const of = (x, y) => whole[x * m + y];
  const ways = [
    [of(b, c), one, other],
    [of(b, d), one, other.slice().reverse()],
    [of(a, c), one.slice().reverse(), other],
    [of(a, d), other, one],
  ];
  const [, left, right] = ways.reduce((best, way) => (way[0] > best[0] ? way : best));
  return left.concat(right);
}

const leaves = (tree, members) => tree.map((k) => members[k]);
